from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.errors import DataCorruptError, DataMissingError, SubmissionError, TaskError
from mlagent_gym.grading import flag_of, grade, metric_of, submission_limit_bytes
from mlagent_gym.tasks import Leak, Submission, Synthetic, Task, load_task


def _task(form: Submission, metric: str = "mae", **more: Any) -> Task:
    return Task(
        id="made-up",
        folder=Path("made-up"),
        title="Made up",
        benchmark="none",
        split="held-in",
        modality="tabular",
        metric=metric,
        submission=form,
        synthetic=Synthetic(size=3),
        **more,
    )


@dataclass(frozen=True)
class Case:
    """A task with answers on disk."""

    task: Task
    answers: Path

    def score(self, submission: str | bytes) -> float:
        content = submission.encode() if isinstance(submission, str) else submission
        return grade(self.task, self.answers, content).score

    def refusal(self, submission: str | bytes) -> str:
        with pytest.raises(SubmissionError) as caught:
            self.score(submission)
        return str(caught.value)


@pytest.fixture
def prices(tmp_path: Path) -> Case:
    answers = tmp_path / "answers.csv"
    answers.write_text("Id,Price\n7,100\n8,200\n9,300\n")
    return Case(_task(Submission(id="Id", targets=("Price",), minimum=0)), answers)


@pytest.fixture
def authors(tmp_path: Path) -> Case:
    answers = tmp_path / "answers.csv"
    answers.write_text("id,A,B\nx,1,0\ny,0,1\n")
    form = Submission(id="id", targets=("A", "B"), cells="distribution")
    return Case(_task(form, "log_loss"), answers)


@pytest.fixture
def truths(tmp_path: Path) -> Case:
    answers = tmp_path / "answers.csv"
    answers.write_text("id,ok\na,True\nb,False\n")
    form = Submission(id="id", targets=("ok",), cells="label", labels=("False", "True"))
    return Case(_task(form, "accuracy"), answers)


@pytest.mark.parametrize("kind", ["prices", "authors", "truths"])
def test_the_answers_themselves_are_a_perfect_submission(
    kind: str, request: pytest.FixtureRequest
) -> None:
    case: Case = request.getfixturevalue(kind)
    perfect = metric_of(case.task).perfect
    assert case.score(case.answers.read_bytes()) == pytest.approx(perfect)


@given(order=st.permutations(range(3)))
def test_rows_are_matched_by_id_in_any_order(order: list[int], tmp_path_factory: Any) -> None:
    answers = tmp_path_factory.mktemp("grading") / "answers.csv"
    answers.write_text("Id,Price\n7,100\n8,200\n9,300\n")
    case = Case(_task(Submission(id="Id", targets=("Price",))), answers)
    rows = ["7,110", "8,200", "9,300"]
    assert case.score("Id,Price\n" + "\n".join(rows[i] for i in order)) == pytest.approx(10 / 3)


def test_columns_may_come_in_any_order_and_lines_end_either_way(prices: Case) -> None:
    assert prices.score("Price,Id\r\n100,7\r\n200,8\r\n300,9\r\n") == 0
    assert prices.score(b"\xef\xbb\xbfId,Price\n7,100\n8,200\n9,300") == 0
    assert prices.score('"Id","Price"\n"7","1e2"\n8,200.0\n9, 300\n') == 0


@pytest.mark.parametrize(
    ("submission", "reason"),
    [
        ("", "file is empty"),
        ("\n\n", "file is empty"),
        ("Id,Price\n", "no rows below the header"),
        ("Id\n7\n8\n9\n", "Missing columns: 'Price'"),
        ("id,price\n7,1\n", "Missing columns: 'Id', 'Price'"),
        (",Id,Price\n0,7,1\n1,8,1\n2,9,1\n", "Unexpected columns: ''"),
        ("Id,Price,Price\n7,1,1\n8,1,1\n9,1,1\n", "column occurs twice"),
        ("Id,Price\n7,1\n8,1\n", "2 rows; 3 are expected"),
        ("Id,Price\n7,1\n8,1\n9,1\n10,1\n", "4 rows; 3 are expected"),
        ("Id,Price\n7,1\n8,1\n10,1\n", "no prediction, the first is Id=9"),
        ("Id,Price\n7,1\n8,1\n8,1\n", "Id=8 occurs more than once"),
        ("Id,Price\n7,1\n8,1\n9,\n", "Row 3, column 2 holds ''; every value"),
        ("Id,Price\n7,1\n8,cheap\n9,1\n", "Row 2, column 2 holds 'cheap'; every value"),
        ("Id,Price\n7,1\n8,nan\n9,1\n", "must be a finite number"),
        ("Id,Price\n7,1\n8,inf\n9,1\n", "must be a finite number"),
        ("Id,Price\n7,1\n8,-1\n9,1\n", "Row Id=8 holds -1; values must be at least 0"),
        ("Id,Price\n7,1,5\n8,1\n9,1\n", "3 cells under a header of 2"),
        ("Id,Price\n7,1\n8,1,5\n9,1\n", "not plain CSV"),
        ("Id,Price\n7,1\n8\n9,1\n", "Row 2, column 2"),
        ("Id,Price\n7,1\n8,1\n9,0x1F\n", "'0x1F'; every value"),
        ("Id;Price\n7;1\n", "Missing columns"),
        (b"Id,Price\n7,1\n8,\0\n9,1\n", "zero bytes"),
        (b"Id,Price\n7,1\n\xff\xfe,1\n9,1\n", "utf-8"),
        (b"\xff\xfeI\xffd", "UTF-8"),
        ('Id,Price\n"7,1\n8,1\n9,1\n', "not"),
        ("PK\x03\x04 no csv at all", "Missing columns"),
    ],
)
def test_what_is_wrong_is_said(prices: Case, submission: str | bytes, reason: str) -> None:
    assert reason in prices.refusal(submission)


def test_probabilities_stay_in_their_range_and_distributions_sum_to_one(authors: Case) -> None:
    assert "sum to 1" in authors.refusal("id,A,B\nx,0.5,0.4\ny,0,1\n")
    assert "at most 1" in authors.refusal("id,A,B\nx,0.5,0.5\ny,0,1.5\n")
    assert "at least 0" in authors.refusal("id,A,B\nx,1.5,-0.5\ny,0,1\n")
    assert authors.score("id,A,B\nx,0.5,0.5000009\ny,0.5,0.5\n") == pytest.approx(np.log(2))


def test_labels_are_the_task_s_own_however_a_program_spells_them(truths: Case) -> None:
    assert truths.score("id,ok\na,1\nb,0.0\n") == 1
    assert truths.score("id,ok\na,true\nb,FALSE\n") == 1
    assert "'maybe'" in truths.refusal("id,ok\na,maybe\nb,False\n")
    assert "empty cells" in truths.refusal("id,ok\na,\nb,False\n")


def test_whole_numbers_written_as_floats_are_labels(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("id,score\na,1\nb,6\n")
    labels = tuple(map(str, range(1, 7)))
    case = Case(
        _task(Submission(id="id", targets=("score",), cells="label", labels=labels), "qwk"),
        answers,
    )
    assert case.score("id,score\na,1.0\nb,6.0\n") == 1
    assert "'2.5'" in case.refusal("id,score\na,2.5\nb,6.0\n")
    assert "'7'" in case.refusal("id,score\na,7.0\nb,6.0\n")


def test_an_unnamed_index_column_can_be_the_id_and_rows_can_do_without_one(
    tmp_path: Path,
) -> None:
    indexed, bare = tmp_path / "indexed.csv", tmp_path / "bare.csv"
    indexed.write_text(",0,1\n0,1,0\n1,0,1\n")
    bare.write_text("y\n3\n4\n")
    scores = Case(_task(Submission(id="", targets=("0", "1")), "accuracy"), indexed)
    assert scores.score(",0,1\n1,-3,2.5\n0,-3,2.5\n") == 0.5
    positional = Case(_task(Submission(targets=("y",), cells="label"), "accuracy"), bare)
    assert positional.score("y\n4\n4\n") == 0.5


def test_duplicate_keys_pair_in_their_order(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text('Price,Id\n1,"a, b"\n2,c\n3,"a, b"\n')
    case = Case(_task(Submission(id="Id", targets=("Price",))), answers)
    assert case.score('Id,Price\nc,2\n"a, b",1\n"a, b",3\n') == 0
    assert "no prediction" in case.refusal('Id,Price\nc,2\nc,1\n"a, b",3\n')


def test_other_columns_are_refused_unless_the_benchmark_lets_them_be(prices: Case) -> None:
    text = "Id,Price,Note\n7,100,x\n8,200,y\n9,300,z\n"
    assert "Unexpected columns: 'Note'" in prices.refusal(text)
    form = replace(prices.task.submission, extra_columns=True)
    assert Case(replace(prices.task, submission=form), prices.answers).score(text) == 0


@pytest.mark.parametrize(
    "hostile",
    [
        b"Id,Price\n" + b"," * 5000,
        b"," * 20_000,
        b"Id,Price\n7," + b"9" * 20_000,
        b"Id,Price\n" + b"\n" * 20_000,
        b'Id,Price\n"' + b"a" * 20_000,
        b'Id,Price\n7,1\n8,"' + b"a\n" * 10_000,
        b"=cmd|' /C calc'!A0,Price\n1,2\n",
        bytes(range(1, 256)) * 50,
    ],
    ids=["cells", "header", "digits", "lines", "quote", "open-quote", "formula", "noise"],
)
def test_hostile_bytes_are_refused_and_never_raise_anything_else(
    prices: Case, hostile: bytes
) -> None:
    assert prices.refusal(hostile)


@given(noise=st.binary(max_size=200))
def test_any_bytes_are_graded_or_refused(noise: bytes, tmp_path_factory: Any) -> None:
    answers = tmp_path_factory.mktemp("grading") / "answers.csv"
    answers.write_text("Id,Price\n7,100\n")
    case = Case(_task(Submission(id="Id", targets=("Price",))), answers)
    assert case.refusal(b"Id,Price\n7," + noise + b"\n8,") or noise


def test_a_file_larger_than_any_submission_is_refused_unread(prices: Case) -> None:
    limit = submission_limit_bytes(prices.task, prices.answers)
    assert limit < 200_000
    assert "at most" in prices.refusal(b"Id,Price\n" + b"7,1\n" * limit)


def test_predictions_without_a_score_are_refused(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("id,score\na,0.5\nb,1\n")
    case = Case(_task(Submission(id="id", targets=("score",)), "pearson"), answers)
    assert "undefined" in case.refusal("id,score\na,0\nb,0\n")


def test_metrics_beside_the_main_one_are_reported(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("id,insult\na,0\nb,1\n")
    form = Submission(id="id", targets=("insult",), cells="probability")
    task = _task(form, "auc", also=("accuracy_at_half",))
    result = grade(task, answers, b"id,insult\na,0.6\nb,0.7\n")
    assert (result.score, dict(result.also)) == (1.0, {"accuracy_at_half": 0.5})


def test_damaged_answers_are_no_fault_of_the_submission(prices: Case, tmp_path: Path) -> None:
    submission = prices.answers.read_bytes()
    with pytest.raises(DataMissingError, match="Prepare the data again"):
        grade(prices.task, tmp_path / "nowhere.csv", submission)
    broken = tmp_path / "broken.csv"
    broken.write_text("Id,Price\n7,oops\n")
    with pytest.raises(DataCorruptError, match="Prepare the data again"):
        grade(prices.task, broken, submission)


def test_answers_that_changed_on_disk_are_read_again(prices: Case) -> None:
    assert prices.score("Id,Price\n7,100\n8,200\n9,300\n") == 0
    prices.answers.write_text("Id,Price\n7,101\n8,200\n9,300\n0,1\n")
    assert "4 are expected" in prices.refusal("Id,Price\n7,100\n8,200\n9,300\n")


def test_an_unknown_metric_is_the_task_s_fault(prices: Case) -> None:
    with pytest.raises(TaskError, match="'made_up'; known: accuracy"):
        metric_of(replace(prices.task, metric="made_up"))


def test_a_task_may_bring_its_own_metric(prices: Case, tmp_path: Path) -> None:
    (tmp_path / "grade.py").write_text(
        "from mlagent_gym.metrics import Metric\n"
        "METRIC = Metric('worst', lambda t, p: float(abs(t - p).max()), False, 0.0, 'worst')\n"
    )
    task = replace(prices.task, metric="grade.py", folder=tmp_path)
    assert Case(task, prices.answers).score("Id,Price\n7,100\n8,250\n9,310\n") == 50


def _read_plainly(text: str) -> list[list[str]]:
    """Read CSV with the standard library, leaving out blank lines."""
    rows = csv.reader(io.StringIO(text, newline=""))
    return [row for row in rows if "".join(row).strip() or len(row) > 1]


@given(cells=st.lists(st.text("10.e-+ na\"',\n\r", max_size=6), min_size=3, max_size=3))
def test_what_is_accepted_means_what_plain_csv_says(
    cells: list[str], tmp_path_factory: Any
) -> None:
    """No submission is read in two ways: once by the checks and otherwise by the parser."""
    answers = tmp_path_factory.getbasetemp() / "three.csv"
    answers.write_text("Id,Price\n7,0\n8,0\n9,0\n")
    case = Case(_task(Submission(id="Id", targets=("Price",))), answers)
    text = "Id,Price\n" + "\n".join(f"{i},{cell}" for i, cell in zip("789", cells, strict=True))
    try:
        score = case.score(text)
    except SubmissionError:
        return
    rows = _read_plainly(text)[1:]
    assert [row[0] for row in rows] == ["7", "8", "9"]
    assert score == pytest.approx(sum(abs(float(row[1])) for row in rows) / 3)


@pytest.mark.parametrize(
    ("variant", "score", "flagged"),
    [
        ("real", 0.0039, True),
        ("real", 0.0, True),
        ("real", 0.004, False),
        ("real", 0.05, False),
        ("real-partial", 0.001, True),
        ("real-by-text", 0.001, False),
        ("synthetic", 0.001, False),
    ],
)
def test_scores_that_only_a_leak_explains_are_flagged(
    variant: str, score: float, flagged: bool
) -> None:
    flag = flag_of(load_task("denoising-dirty-documents"), variant, score)
    assert ("shows a leak" in flag) is flagged and bool(flag) is flagged


def test_where_higher_is_better_a_leak_shows_above() -> None:
    leaky = _task(Submission(targets=("x",)), "accuracy", leak=Leak(0.9, "the rows are in order"))
    assert "the rows are in order" in flag_of(leaky, "real", 0.95)
    assert not flag_of(leaky, "real", 0.85)
