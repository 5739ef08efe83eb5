"""Every score a task can be judged by, found by its name.

A metric takes the true and the predicted values of the whole test set, in the same
order. Numbers come as float64, one axis for a single target column and rows x columns
for several; labels and rankings come as arrays of strings. No metric raises on valid
shapes: a score that does not exist (one class only, constant predictions) is NaN.

Only numpy is used, so that grading a step costs no import of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["METRICS", "Metric", "Values", "accuracy", "auc", "log_loss", "map_at_5", "qwk"]

Values = npt.NDArray[Any]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Metric:
    """A score by name."""

    name: str
    function: Callable[[Values, Values], float]
    """Takes true and predicted values, returns the score."""
    higher_is_better: bool
    perfect: float
    """Score of predictions equal to the truth."""
    title: str
    """How the metric is called in text."""

    def __call__(self, y_true: Values, y_pred: Values) -> float:
        """Score predictions."""
        return self.function(y_true, y_pred)

    @property
    def sign(self) -> int:
        """1 when a higher score is better, -1 when a lower one is."""
        return 1 if self.higher_is_better else -1

    def better(self, score: float, than: float) -> bool:
        """Return whether `score` is strictly better than another one."""
        return self.sign * (score - than) > 0


def accuracy(y_true: Values, y_pred: Values) -> float:
    """Share of rows predicted right; with several columns the largest one is the prediction.

    Of equal columns the first counts, as in MLAgentBench's CIFAR-10 evaluation.
    """
    if y_true.ndim == 2:
        y_true, y_pred = y_true.argmax(axis=1), y_pred.argmax(axis=1)
    return float(np.mean(y_true == y_pred))


def accuracy_at_half(y_true: Values, y_pred: Values) -> float:
    """Share of rows on the right side of a probability of 0.5, which itself counts as positive."""
    return float(np.mean((y_true >= 0.5) == (y_pred >= 0.5)))


def auc(y_true: Values, y_pred: Values) -> float:
    """Area under the ROC curve; ties count one half. NaN when only one class occurs."""
    positive = y_true > 0
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    _, inverse, counts = np.unique(y_pred, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_ranks[inverse][positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def mean_column_auc(y_true: Values, y_pred: Values) -> float:
    """Unweighted mean of the columns' areas under the ROC curve.

    Rows with a negative label were never judged and are left out (Jigsaw's test set).
    """
    judged = y_true.min(axis=1) >= 0
    columns = range(y_true.shape[1])
    return float(np.mean([auc(y_true[judged, i], y_pred[judged, i]) for i in columns]))


def log_loss(y_true: Values, y_pred: Values) -> float:
    """Mean negative log likelihood in nats, of a probability or of a distribution per row.

    Probabilities are clipped at the machine epsilon of float64 and rows are not rescaled,
    as in scikit-learn and MLE-bench.
    """
    clipped = np.clip(y_pred, _EPS, 1 - _EPS)
    if y_true.ndim == 1:
        return float(-np.mean(np.where(y_true > 0, np.log(clipped), np.log1p(-clipped))))
    return float(-np.mean(np.log(clipped[np.arange(len(clipped)), y_true.argmax(axis=1)])))


def mae(y_true: Values, y_pred: Values) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(y_true - y_pred)))


def rmse(y_true: Values, y_pred: Values) -> float:
    """Root mean squared error over all values, in the target's unit."""
    return float(np.sqrt(np.mean(np.square(y_true - y_pred))))


def mcrmse(y_true: Values, y_pred: Values) -> float:
    """Mean over the columns of their root mean squared errors."""
    return float(np.mean(np.sqrt(np.mean(np.square(y_true - y_pred), axis=0))))


def mean_column_rmsle(y_true: Values, y_pred: Values) -> float:
    """Mean over the columns of the root mean squared difference of ``log(1 + value)``."""
    return mcrmse(np.log1p(y_true), np.log1p(y_pred))


def qwk(y_true: Values, y_pred: Values) -> float:
    """Cohen's kappa with quadratic weights, of labels that are whole numbers.

    The weight of a confusion is the squared difference of the two labels, whichever other
    labels occur: scikit-learn's ``cohen_kappa_score`` given all labels of the scale.
    NaN when truth and prediction are one and the same constant.
    """
    true, predicted = y_true.astype(np.float64), y_pred.astype(np.float64)
    observed = np.mean(np.square(true - predicted))
    by_chance = true.var() + predicted.var() + (true.mean() - predicted.mean()) ** 2
    return float(1 - observed / by_chance) if by_chance > 0 else float("nan")


def map_at_5(y_true: Values, y_pred: Values) -> float:
    """Mean over the rows of 1 / rank of the true label among the first five, else 0.

    Predictions are labels separated by single spaces; labels after the fifth are cut, a
    repeated one counts where it stands first.
    """
    gained = 0.0
    for true, ranking in zip(y_true, y_pred, strict=True):
        best_five = str(ranking).split(" ")[:5]
        if true in best_five:
            gained += 1 / (best_five.index(true) + 1)
    return gained / len(y_true)


def pearson(y_true: Values, y_pred: Values) -> float:
    """Linear correlation. NaN when either side is constant."""
    true, predicted = y_true - y_true.mean(), y_pred - y_pred.mean()
    # Rounding of the mean leaves about this much of a constant; it is not variation.
    floor = 1e-13 * np.sqrt(len(y_pred))
    if _norm(predicted) <= floor * np.abs(y_pred).max() or _norm(true) == 0:
        return float("nan")
    return float(np.clip((true / _norm(true)) @ (predicted / _norm(predicted)), -1, 1))


def _norm(values: Values) -> float:
    return float(np.linalg.norm(values))


def _metrics(*metrics: Metric) -> Mapping[str, Metric]:
    return MappingProxyType({metric.name: metric for metric in metrics})


METRICS: Mapping[str, Metric] = _metrics(
    Metric("accuracy", accuracy, True, 1.0, "accuracy"),
    Metric("accuracy_at_half", accuracy_at_half, True, 1.0, "accuracy at a threshold of 0.5"),
    Metric("auc", auc, True, 1.0, "area under the ROC curve"),
    Metric("mean_column_auc", mean_column_auc, True, 1.0, "mean column-wise ROC AUC"),
    Metric("log_loss", log_loss, False, 0.0, "log loss"),
    Metric("mae", mae, False, 0.0, "mean absolute error"),
    Metric("rmse", rmse, False, 0.0, "root mean squared error"),
    Metric("mcrmse", mcrmse, False, 0.0, "mean column-wise RMSE"),
    Metric("mean_column_rmsle", mean_column_rmsle, False, 0.0, "mean column-wise RMSLE"),
    Metric("qwk", qwk, True, 1.0, "quadratic weighted kappa"),
    Metric("map_at_5", map_at_5, True, 1.0, "mean average precision at 5"),
    Metric("pearson", pearson, True, 1.0, "Pearson correlation"),
)
"""Every metric by its name."""
