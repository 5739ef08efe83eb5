"""The bytes of a submission, read into ids and values, trusting nothing about them.

What is wrong with a submission becomes a :class:`~mlagent_gym.errors.SubmissionError`
that says what and where, for the agent to read. The header and the first row are read by
the ``csv`` module before pandas, whose parser is fast but trusts the first row's width,
sees the rest.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlagent_gym.errors import SubmissionError
from mlagent_gym.metrics import Values
from mlagent_gym.tasks import Submission

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_EXTRA_COLUMNS", "Ids", "check_values", "positions_of", "read_submission"]

Ids = npt.NDArray[np.object_]

MOST_EXTRA_COLUMNS = 32
"""Columns beyond its own that a submission may have, where the benchmark allows any."""

_LONGEST_LINE_BYTES = 1 << 20
_NUMERIC = ("number", "probability", "distribution")


def read_submission(form: Submission, content: bytes) -> tuple[Ids | None, Values]:
    """Return ids (None where rows have none) and target values, in the file's order.

    Raises
    ------
    SubmissionError
        The bytes are not plain CSV with the columns asked for.
    """
    header, n_first_row = _first_rows(content)
    _check_header(form, header)
    if n_first_row != len(header):
        raise SubmissionError(
            f"The first row has {n_first_row} cells under a header of {len(header)}."
            if n_first_row
            else "There are no rows below the header."
        )
    targets = [header.index(name) for name in form.targets]
    frame = _frame(content, len(header), targets if form.cells in _NUMERIC else [])
    ids = None if form.id is None else frame[header.index(form.id)].to_numpy(dtype=object)
    if form.cells in _NUMERIC:
        values = frame[targets].to_numpy(dtype=np.float64)
    else:
        values = np.column_stack([_labels(form, header[i], frame[i]) for i in targets])
    return ids, values[:, 0] if len(targets) == 1 else values


def _first_rows(content: bytes) -> tuple[list[str], int]:
    """Return the header and the number of cells in the row below it, reading no further."""
    if b"\0" in content:
        raise SubmissionError("The file holds zero bytes; it must be plain CSV text.")
    rows = csv.reader(_lines(content), strict=True)
    try:
        return next(rows, []), len(next(rows, []))
    except csv.Error as error:
        raise SubmissionError(f"The file is not CSV: {error}.") from None


def _lines(content: bytes) -> Iterator[str]:
    stream = io.BytesIO(content.removeprefix(b"\xef\xbb\xbf"))
    while line := stream.readline(_LONGEST_LINE_BYTES):
        if len(line) == _LONGEST_LINE_BYTES:
            raise SubmissionError(f"A line is longer than {_LONGEST_LINE_BYTES:,} bytes.")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SubmissionError(f"The file is not UTF-8 text: {error}.") from None


def _check_header(form: Submission, header: list[str]) -> None:
    expected = [*([] if form.id is None else [form.id]), *form.targets]
    wanted = f"The header must be {','.join(expected)}"
    if not header:
        raise SubmissionError(f"The file is empty. {wanted}.")
    if missing := [name for name in expected if name not in header]:
        raise SubmissionError(f"Missing columns: {_some(missing)}. {wanted}.")
    extra = [name for name in header if name not in expected]
    if extra and not (form.extra_columns and len(extra) <= MOST_EXTRA_COLUMNS):
        raise SubmissionError(f"Unexpected columns: {_some(extra)}. {wanted}.")
    if len(set(header)) != len(header):
        raise SubmissionError(f"A column occurs twice. {wanted}.")


def _frame(content: bytes, n_columns: int, numbers: list[int]) -> pd.DataFrame:
    """Parse everything below the header; columns `numbers` as float64, the others as text."""
    import pandas as pd

    text = io.BytesIO(content)
    kinds: dict[int, Any] = {i: np.float64 if i in numbers else object for i in range(n_columns)}
    options: dict[str, Any] = {
        "header": None,
        "skiprows": 1,
        "na_filter": False,
        "encoding": "utf-8",
        "engine": "c",
        "low_memory": False,
    }
    try:
        frame: pd.DataFrame = pd.read_csv(text, dtype=kinds, **options)
    except (ValueError, OverflowError) as error:
        if numbers:
            text.seek(0)
            _blame_cell(text, numbers, options)
        raise SubmissionError(f"The file is not plain CSV: {error}.") from None
    if frame.shape[1] != n_columns:
        raise SubmissionError(f"Rows have {frame.shape[1]} cells under a header of {n_columns}.")
    return frame


def _blame_cell(text: io.BytesIO, numbers: list[int], options: dict[str, Any]) -> None:
    """Raise with the first cell that is no number, if that is what is wrong."""
    import pandas as pd

    try:
        frame = pd.read_csv(text, dtype=object, **options)
    except (ValueError, OverflowError):
        return
    for column in numbers:
        for row, cell in enumerate(frame[column]):
            if not _is_number(str(cell)):
                raise SubmissionError(
                    f"Row {row + 1}, column {column + 1} holds {str(cell)[:40]!r}; "
                    "every value must be a finite number."
                ) from None


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _labels(form: Submission, name: str, column: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """Return a column's labels in the task's own spelling."""
    import pandas as pd

    codes, spelled = pd.factorize(column.to_numpy(dtype=object))
    known = set(form.labels)
    for label in spelled:
        if not isinstance(label, str) or not label:
            raise SubmissionError(f"Column {name} has empty cells.")
    labels = [label if label in known else _respell(label, known) for label in spelled]
    if known and form.cells == "label" and (unknown := [x for x in labels if x not in known]):
        raise SubmissionError(
            f"Column {name} holds {_some(unknown)}; labels are {_some(form.labels, 12)}."
        )
    return np.array(labels, dtype=object)[codes]


def _respell(label: str, known: set[str]) -> str:
    """Spell as the task does what programs write for the same value: 3.0 for 3, 1 for True."""
    if known == {"False", "True"}:
        truth = {"0": "False", "1": "True", "0.0": "False", "1.0": "True"}
        truth |= {"false": "False", "true": "True"}
        return truth.get(label.lower(), label)
    try:
        number = float(label)
    except ValueError:
        return label
    return str(int(number)) if number.is_integer() else label


def check_values(form: Submission, ids: Ids | None, values: Values) -> None:
    """Raise `SubmissionError` unless every value is of the kind and range asked for."""
    if form.cells not in _NUMERIC:
        return
    rows = values.reshape(len(values), -1)

    def refuse(wrong: Values, rule: str) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            where = f"Row {row + 1}" if ids is None else f"Row {form.id}={str(ids[row])[:80]}"
            cells = ", ".join(f"{value:g}" for value in rows[row][:10])
            raise SubmissionError(
                f"{where} holds {cells}; {rule} ({int(wrong.sum()):,} such rows)."
            )

    refuse(np.any(~np.isfinite(rows), axis=1), "every value must be a finite number")
    bounded = form.cells in ("probability", "distribution")
    low = 0.0 if bounded else form.minimum
    high = 1.0 if bounded else form.maximum
    if low is not None:
        refuse(np.any(rows < low, axis=1), f"values must be at least {low:g}")
    if high is not None:
        refuse(np.any(rows > high, axis=1), f"values must be at most {high:g}")
    if form.cells == "distribution":
        # The tolerance of MLE-bench's graders.
        off = np.abs(rows.sum(axis=1) - 1) > 1e-6 + 1e-5
        refuse(off, "the values of a row must sum to 1")


def positions_of(expected: Ids, ids: Ids, column: str | None) -> npt.NDArray[np.intp] | slice:
    """Return where in a submission each row of the answers is.

    The k-th occurrence of an id belongs to the k-th in the answers: detecting-insults
    has duplicate keys.

    Raises
    ------
    SubmissionError
        A row of the answers is not in the submission.
    """
    import pandas as pd

    if np.array_equal(ids, expected):
        return slice(None)
    here, there = pd.Series(ids), pd.Series(expected)
    if here.is_unique and there.is_unique:
        positions: npt.NDArray[np.intp] = pd.Index(here).get_indexer(pd.Index(there))
    else:
        keys = pd.MultiIndex.from_arrays([here, here.groupby(here).cumcount()])
        wanted = pd.MultiIndex.from_arrays([there, there.groupby(there).cumcount()])
        positions = keys.get_indexer(wanted)
    missing = np.flatnonzero(positions < 0)
    if missing.size:
        counts = here.value_counts()
        twice = counts.index[counts.to_numpy() > 1]
        hint = f" {column}={str(twice[0])[:80]} occurs more than once." if len(twice) else ""
        raise SubmissionError(
            f"{missing.size:,} rows of the test set have no prediction, the first is "
            f"{column}={str(expected[missing[0]])[:80]}.{hint}"
        )
    return positions


def _some(names: Iterable[str], most: int = 5) -> str:
    """List a few names, shortened: they may be hostile."""
    every = list(names)
    shown = ", ".join(repr(str(name)[:40]) for name in every[:most])
    return shown + (f" and {len(every) - most} more" if len(every) > most else "")
