"""The contract notices folders that break it: one folder, spoiled in one way at a time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym.contract import CHECKS, Bench, UncheckableError
from mlagent_gym.errors import TaskError
from mlagent_gym.executor import Executor
from mlagent_gym.sandbox import make_executor
from mlagent_gym.tasks import assets_root, load_task

TASK = "spooky-author-identification"
SIZE = 120


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with closing(make_executor("auto")) as executor:
        yield executor


@pytest.fixture
def spoil(
    tmp_path: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, str], Bench]:
    """Return a bench of a copy of a task with one text in one file replaced."""
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))

    def make(file: str, text: str, by: str) -> Bench:
        folder = tmp_path / TASK
        shutil.copytree(assets_root() / TASK, folder)
        content = (folder / file).read_text()
        assert text in content
        (folder / file).write_text(content.replace(text, by))
        task = load_task(TASK)
        return Bench(
            replace(task, folder=folder, synthetic=replace(task.synthetic, size=SIZE)), executor
        )

    return make


@pytest.mark.parametrize(
    ("check", "file", "text", "by", "complaint"),
    [
        ("description", "description.md", "submission.csv", "result.csv", "name submission.csv"),
        ("description", "description.md", "log loss", "score", "does not name the metric"),
        ("depend_on_the_seed", "prepare.py", "0x5900C", "__import__('time').time_ns()", "another"),
        ("depend_on_the_seed", "prepare.py", "[seed, 0x5900C]", "0x5900C", "share"),
        ("real_columns", "prepare.py", '"text": texts', '"words": texts', "failed: KeyError"),
        ("real_columns", "prepare.py", 'test[["id", "text"]]', 'test[["text", "id"]]', "columns"),
        ("answers_score", "prepare.py", 'answers.to_csv(private / "test.csv"',
         'answers[::-1].assign(EAP=0.5, HPL=0.5, MWS=0).to_csv(private / "test.csv"', "answers"),
        ("sample", "prepare.py", "answers.assign(**CONSTANT)", "answers.assign(EAP=9)",
         "not valid"),
        ("sample", "prepare.py", "answers.assign(**CONSTANT)", "answers", "no worse"),
        ("private", "prepare.py", "test[[\"id\", \"text\"]].to_csv(public / \"test.csv\"",
         "test[[\"id\", \"text\"]].to_csv(public / \"test.csv\", index=False)\n"
         "    (public / \"link\").symlink_to(private)\n    test.to_csv(private / \"more.csv\"",
         "is a link"),
        ("private", "prepare.py", "    answers.to_csv(private",
         "    answers.to_csv(public / 'a.csv', index=False)\n    answers.to_csv(private", "a.csv"),
        ("starter_is_short", "starter/train.py", "SEED = 0", "SEED = None", "SEED"),
        ("starter_is_short", "starter/train.py", "SEED = 0", "SEED = 0" + "\n" * 80, "lines"),
        ("starter_scores", "starter/train.py", "to_csv", "to_html", "submission.csv"),
        ("starter_scores", "starter/train.py", "Validation log loss", "Loss", "validation score"),
        ("starter_scores", "starter/train.py", "import numpy", "import nowhere", "nowhere"),
        ("ideas_apply", "ideas.toml", 'search = "STOP_WORDS = None"', 'search = "NO"', "0 times"),
        ("ideas_apply", "ideas.toml", 'replace = "STOP_WORDS = ', 'replace = "STOP WORDS = ',
         "does not compile"),
        ("ideas_apply", "ideas.toml", 'name = "tf-idf"', 'name = "word-pairs"', "same name"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_noticed(
    spoil: Callable[[str, str, str], Bench],
    check: str,
    file: str,
    text: str,
    by: str,
    complaint: str,
) -> None:
    (name,) = (name for name in CHECKS if check in name)
    with pytest.raises(TaskError, match=re.escape(complaint)):
        CHECKS[name](spoil(file, text, by))


ALWAYS_THE_SAME = """
import pandas as pd
COMMENTS = [f"You are the sort of person who counts to {i} aloud" for i in range(8)]

def synthesize(public, private, *, seed, size):
    frame = pd.DataFrame({"Comment": COMMENTS, "Insult": seed, "Date": seed})
    if AS_JSON:
        (public / "train.json").write_text(frame.to_json(orient="records"))
    else:
        frame.to_csv(public / "train.csv", index=False)
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_texts_that_are_their_own_ids_are_compared_between_seeds(
    tmp_path: Path, executor: Executor, as_json: bool
) -> None:
    (tmp_path / "prepare.py").write_text(f"AS_JSON = {as_json}" + ALWAYS_THE_SAME)
    insults = replace(load_task("detecting-insults-in-social-commentary"), folder=tmp_path)
    with pytest.raises(TaskError, match="Two seeds share 8 rows"):
        CHECKS["synthetic_data_depend_on_the_seed_alone"](Bench(insults, executor))


def test_a_reference_no_better_than_the_starter_is_noticed(
    spoil: Callable[[str, str, str], Bench],
) -> None:
    bench = spoil("description.md", "submission.csv", "submission.csv")
    shutil.copy(bench.task.folder / "starter/train.py", bench.task.folder / "reference/train.py")
    with pytest.raises(TaskError, match="0% of the way"):
        CHECKS["reference_is_clearly_better"](bench)


def test_scores_of_other_scripts_are_stale_and_of_other_data_uncheckable(
    spoil: Callable[[str, str, str], Bench],
) -> None:
    bench = spoil("description.md", "submission.csv", "submission.csv")
    with pytest.raises(UncheckableError, match="differ from the measured ones"):
        bench.recorded()
    (bench.task.folder / "scores.json").unlink()
    with pytest.raises(TaskError, match="mlagent measure"):
        bench.recorded()


def test_a_task_whose_packages_are_missing_is_not_judged(
    spoil: Callable[[str, str, str], Bench],
) -> None:
    bench = spoil("description.md", "submission.csv", "submission.csv")
    needy = Bench(replace(bench.task, requires=("a_package_nobody_has",)), bench.executor)
    with pytest.raises(UncheckableError, match="a_package_nobody_has"):
        CHECKS["starter_scores_within_its_limits"](needy)
