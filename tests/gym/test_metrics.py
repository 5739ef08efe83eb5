from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from mlagent_gym.metrics import METRICS

seeds = st.integers(0, 2**32 - 1)


def _draw(seed: int, rows: int = 40) -> np.random.Generator:
    return np.random.default_rng([seed, rows])


def _one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[labels]


@given(seeds)
def test_auc_equals_scikit_learn_also_with_ties(seed: int) -> None:
    rng = _draw(seed)
    truth = np.r_[0.0, 1.0, rng.integers(0, 2, 40)]
    scores = rng.integers(0, 8, truth.size) / 7
    assert METRICS["auc"](truth, scores) == pytest.approx(sk.roc_auc_score(truth, scores))


@given(seeds)
def test_mean_column_auc_equals_scikit_learn_and_leaves_out_unjudged_rows(seed: int) -> None:
    rng = _draw(seed)
    truth = np.vstack([np.zeros(3), np.ones(3), rng.integers(0, 2, (40, 3))])
    scores = rng.random(truth.shape).round(1)
    expected = sk.roc_auc_score(truth, scores, average="macro")
    metric = METRICS["mean_column_auc"]
    assert metric(truth, scores) == pytest.approx(expected)
    padded = np.vstack([truth, np.full((5, 3), -1.0)])
    assert metric(padded, np.vstack([scores, rng.random((5, 3))])) == pytest.approx(expected)


@given(seeds)
def test_binary_log_loss_equals_scikit_learn_at_the_ends_of_the_scale_too(seed: int) -> None:
    rng = _draw(seed)
    truth = rng.integers(0, 2, 40).astype(float)
    probability = np.r_[0.0, 1.0, rng.random(38)]
    expected = sk.log_loss(truth, probability, labels=[0, 1])
    assert METRICS["log_loss"](truth, probability) == pytest.approx(expected, abs=1e-12)


@given(seeds)
def test_multiclass_log_loss_equals_scikit_learn(seed: int) -> None:
    rng = _draw(seed)
    labels = rng.integers(0, 4, 40)
    probability = rng.dirichlet(np.ones(4), 40)
    probability[0] = np.eye(4)[(labels[0] + 1) % 4]
    expected = sk.log_loss(labels, probability, labels=range(4))
    assert METRICS["log_loss"](_one_hot(labels, 4), probability) == pytest.approx(expected)


def test_the_largest_log_loss_of_a_row_is_that_of_float64_epsilon() -> None:
    worst = METRICS["log_loss"](np.array([1.0]), np.array([0.0]))
    assert worst == pytest.approx(36.04365, abs=5e-6)


@given(seeds)
def test_qwk_equals_scikit_learn_on_the_whole_scale(seed: int) -> None:
    rng = _draw(seed)
    truth = np.r_[1, 6, rng.integers(1, 7, 40)]
    predicted = rng.integers(1, 7, truth.size)
    expected = sk.cohen_kappa_score(truth, predicted, labels=range(1, 7), weights="quadratic")
    score = METRICS["qwk"](truth.astype(str).astype(object), predicted.astype(str).astype(object))
    assert score == pytest.approx(expected)


@given(seeds)
def test_regression_metrics_equal_scikit_learn(seed: int) -> None:
    rng = _draw(seed)
    truth, predicted = rng.gamma(2, 50, (2, 40, 3))
    pairs = {
        "mae": sk.mean_absolute_error(truth[:, 0], predicted[:, 0]),
        "rmse": sk.root_mean_squared_error(truth[:, 0], predicted[:, 0]),
        "pearson": stats.pearsonr(truth[:, 0], predicted[:, 0]).statistic,
    }
    for name, expected in pairs.items():
        assert METRICS[name](truth[:, 0], predicted[:, 0]) == pytest.approx(expected)
    columns = sk.root_mean_squared_error(truth, predicted, multioutput="raw_values")
    assert METRICS["mcrmse"](truth, predicted) == pytest.approx(columns.mean())
    logs = sk.root_mean_squared_log_error(truth, predicted, multioutput="raw_values")
    assert METRICS["mean_column_rmsle"](truth, predicted) == pytest.approx(logs.mean())


def test_accuracy_compares_labels_or_the_largest_column_the_first_of_equal_ones() -> None:
    labels = np.array(["a", "b", "b"], dtype=object)
    assert METRICS["accuracy"](labels, np.array(["a", "b", "c"], dtype=object)) == 2 / 3
    tied = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert METRICS["accuracy"](np.eye(2), tied) == 0.5


def test_accuracy_at_half_counts_one_half_as_positive() -> None:
    truth = np.array([1.0, 0.0, 0.0])
    assert METRICS["accuracy_at_half"](truth, np.array([0.5, 0.5, 0.1])) == 2 / 3


@pytest.mark.parametrize(
    ("ranking", "score"),
    [
        ("w1", 1.0),
        ("w2 w1", 1 / 2),
        ("w2 w2 w1", 1 / 3),
        ("a b c d w1", 1 / 5),
        ("a b c d e w1", 0.0),
        ("a  w1", 1 / 3),
    ],
)
def test_map_at_5_is_one_over_the_rank_among_the_first_five(ranking: str, score: float) -> None:
    truth = np.array(["w1"], dtype=object)
    assert METRICS["map_at_5"](truth, np.array([ranking], dtype=object)) == score


def test_a_score_that_does_not_exist_is_nan() -> None:
    truth, constant = np.array([0.1, 0.7, 0.3]), np.full(3, 0.1)
    assert math.isnan(METRICS["pearson"](truth, constant))
    assert math.isnan(METRICS["auc"](np.ones(3), truth))
    same = np.array(["3", "3"], dtype=object)
    assert math.isnan(METRICS["qwk"](same, same))


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=20)
@given(seed=seeds)
def test_nothing_beats_the_truth(name: str, seed: int) -> None:
    rng = _draw(seed)
    if name == "map_at_5":
        truth = rng.choice(["x", "y"], 30).astype(object)
        other = rng.choice(["x y", "y x"], 30).astype(object)
    elif name == "qwk":
        truth, other = rng.integers(1, 7, (2, 30)).astype(str).astype(object)
    elif "column" in name or name == "mcrmse":
        truth, other = np.r_[np.eye(2), rng.integers(0, 2, (28, 2))], rng.random((30, 2))
    else:
        truth, other = np.r_[0, 1, rng.integers(0, 2, 28)].astype(float), rng.random(30)
    metric = METRICS[name]
    assert metric(truth, truth) == pytest.approx(metric.perfect)
    assert not metric.better(metric(truth, other), metric(truth, truth) + metric.sign * 1e-12)
