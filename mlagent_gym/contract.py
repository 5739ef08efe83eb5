"""What every task folder promises, as checks that run on any of them.

``mlagent check`` runs them for people who add a task, the test suite runs them over all.
A broken promise is a :class:`~mlagent_gym.errors.TaskError`; what cannot be checked on
this machine (a package is not installed, other random numbers) is `UncheckableError`.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import itertools
import json
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mlagent_gym import data, grading
from mlagent_gym.baselines import Scores, ideas_digest, load_scores, scripts_digest
from mlagent_gym.data import Prepared
from mlagent_gym.errors import SubmissionError, TaskError
from mlagent_gym.executor import Executor
from mlagent_gym.metrics import Metric
from mlagent_gym.raw import file_digest
from mlagent_gym.tasks import SUBMISSION, Task, load_ideas, missing_packages
from mlagent_gym.trials import Trial, apply_idea, reseed, try_files

__all__ = ["CHECKS", "Bench", "UncheckableError"]

LEAST_IDEAS = 6
MOST_STARTER_LINES = 100
MOST_STARTER_CPU_S = 10.0
LEAST_REFERENCE_SHARE = 0.25
"""Share of the way from starter to oracle that a reference must go."""
_CONTENT_CHARS = 40


class UncheckableError(Exception):
    """A check means nothing on this machine; the message says why."""


@dataclass(frozen=True)
class Bench:
    """A task under test; what several checks need is made once."""

    task: Task
    executor: Executor

    @functools.cached_property
    def metric(self) -> Metric:
        """Metric the task is optimised for."""
        return grading.metric_of(self.task)

    @functools.cached_property
    def prepared(self) -> Prepared:
        """Return the default synthetic data."""
        return data.synthetic(self.task)

    @functools.cached_property
    def starter(self) -> Trial:
        """The starter's run on them."""
        return self._try(self.task.starter_files())

    @functools.cached_property
    def reference(self) -> Trial:
        """The reference's run on them."""
        return self._try(self.task.reference_files())

    def score(self, submission: Path) -> float:
        """Grade a file against the answers of the default synthetic data."""
        answers = self.prepared.private / self.task.submission.answers
        return grading.grade(self.task, answers, submission.read_bytes()).score

    @property
    def oracle(self) -> float:
        """Score of the process that made the data."""
        return self.score(self.prepared.private / "oracle.csv")

    def recorded(self) -> Scores:
        """Return the measured scores of exactly these data and scripts."""
        every = load_scores(self.task)
        if not every:
            raise TaskError(
                f"{self.task.id} has no scores.json. Run: mlagent measure {self.task.id}"
            )
        record = every.get(self.prepared.fingerprint)
        if record is None:
            raise UncheckableError(
                "these default data differ from the measured ones (other platform?)"
            )
        if record.scripts != scripts_digest(self.task):
            raise TaskError(
                f"The starter or reference of {self.task.id} changed since scores.json was "
                f"written. Run: mlagent measure {self.task.id}"
            )
        if record.ideas_digest != ideas_digest(self.task):
            raise TaskError(
                f"The ideas of {self.task.id} changed since scores.json was written. "
                f"Run: mlagent measure {self.task.id}"
            )
        return record

    def require_packages(self) -> None:
        """Raise `UncheckableError` if the task's scripts cannot run here."""
        if missing := missing_packages(self.task):
            raise UncheckableError(f"not installed: {', '.join(missing)}")

    def _try(self, files: Mapping[str, bytes]) -> Trial:
        self.require_packages()
        return try_files(self.task, self.prepared, self.executor, files)


def _require(kept: bool, broken: str) -> None:
    if not kept:
        raise TaskError(broken)


def description_names_the_submission_file_and_the_metric(bench: Bench) -> None:
    """Tell the agent what to write and how it is judged."""
    text = bench.task.description.lower()
    _require(SUBMISSION in text, f"description.md does not name {SUBMISSION}.")
    title = bench.metric.title
    _require(title.lower() in text, f"description.md does not name the metric, {title!r}.")
    _require("../input" in text, "description.md does not say that the files are in ../input.")


def synthetic_data_depend_on_the_seed_alone(bench: Bench) -> None:
    """Make the same bytes for the same seed; let no two seeds share a row, image or text."""
    size = max(bench.task.synthetic.size // 4, 1)
    with tempfile.TemporaryDirectory(prefix="mlagent-check-") as temporary:
        once, again, other = (Path(temporary) / name for name in ("once", "again", "other"))
        for folder, seed in ((once, 1), (again, 1), (other, 2)):
            public, private = folder / "public", folder / "private"
            public.mkdir(parents=True)
            private.mkdir()
            data.synthesize(bench.task, public, private, seed=seed, size=size)
        names = _tree(once)
        _require(names == _tree(again), "synthesize() names files differently each time.")
        for name in names:
            same = file_digest(once / name) == file_digest(again / name)
            _require(same, f"synthesize() writes another {name} for the same seed.")
        shared = _contents(bench.task, once) & _contents(bench.task, other)
        _require(not shared, f"Two seeds share {len(shared)} rows or files: {sorted(shared)[:2]}.")


def synthetic_files_have_the_real_columns(bench: Bench) -> None:
    """Give every CSV file the columns that ``task.toml`` states for the real one."""
    folder = bench.prepared.folder
    for path in sorted(bench.prepared.public.rglob("*.csv")):
        name = path.relative_to(folder).as_posix()
        _require(name in bench.task.columns, f"task.toml states no [columns] for {name}.")
        with path.open(encoding="utf-8", newline="") as file:
            found = tuple(next(csv.reader(file), ()))
        stated = bench.task.columns[name]
        _require(found == stated, f"{name} has the columns {found} instead of {stated}.")
    for name in bench.task.columns:
        _require((folder / name).is_file(), f"synthesize() makes no {name}.")


def answers_score_perfect(bench: Bench) -> None:
    """Accept the true values as a submission, with the best score there is."""
    score = bench.score(bench.prepared.private / bench.task.submission.answers)
    perfect = bench.metric.perfect
    _require(abs(score - perfect) < 1e-6, f"The answers score {score} instead of {perfect}.")


def sample_submission_is_valid_and_poor(bench: Bench) -> None:
    """Show the form in the sample, whose score may be undefined but not good."""
    sample = bench.prepared.public / bench.task.submission.sample
    try:
        score = bench.score(sample)
    except SubmissionError as error:
        _require("undefined" in str(error), f"{sample.name} is not valid: {error}")
        return
    worse = bench.metric.better(bench.oracle, score)
    _require(worse, f"{sample.name} scores {score}, no worse than the oracle's {bench.oracle}.")


def nothing_private_is_public(bench: Bench) -> None:
    """Put no link, no copy of a private file and no true values among the public files."""
    public, private = bench.prepared.public, bench.prepared.private
    mode = stat.S_IMODE(private.stat().st_mode)
    _require(mode & 0o077 == 0, f"The private folder is open to others (mode {mode:o}).")
    secrets = {file_digest(path) for path in private.rglob("*") if path.is_file()}
    for path in public.rglob("*"):
        _require(not path.is_symlink(), f"{path} is a link.")
        if not path.is_file():
            continue
        _require(path.stat().st_nlink == 1, f"{path} has another name.")
        _require(file_digest(path) not in secrets, f"{path} is a copy of a private file.")
        if path.suffix == ".csv":
            try:
                score = bench.score(path)
            except SubmissionError:
                continue
            worse = bench.metric.better(bench.oracle, score)
            _require(worse, f"{path} holds the answers: submitted as it is, it scores {score}.")


def starter_scores_within_its_limits(bench: Bench) -> None:
    """Make a valid submission with the starter as it is, fast and without a fault."""
    trial = bench.starter
    _require(trial.score is not None, f"The starter has no score: {trial.reason}")
    _require(
        trial.run.cpu_s <= MOST_STARTER_CPU_S,
        f"The starter takes {trial.run.cpu_s:.1f} s of processor time.",
    )
    printed = re.search(r"valid", trial.run.output, re.IGNORECASE)
    _require(printed is not None, "The starter prints no validation score.")


def starter_is_short_and_seeded(bench: Bench) -> None:
    """Fit the starter into a prompt, and set its seed in one line."""
    files = bench.task.starter_files()
    lines = files["train.py"].decode("utf-8").count("\n")
    _require(
        lines <= MOST_STARTER_LINES,
        f"The starter has {lines} lines; {MOST_STARTER_LINES} are most.",
    )
    reseed(files, 1)
    reseed(bench.task.reference_files(), 1)


def reference_is_clearly_better(bench: Bench) -> None:
    """Go a good part of the way from the starter to the oracle, and not beyond it."""
    start, reference, oracle = bench.starter.score, bench.reference.score, bench.oracle
    _require(reference is not None, f"The reference has no score: {bench.reference.reason}")
    assert start is not None and reference is not None  # checked before, for the starter too
    share = (reference - start) / (oracle - start) if oracle != start else 0.0
    _require(
        share >= LEAST_REFERENCE_SHARE,
        f"The reference scores {reference:.5g}, the starter {start:.5g}, the oracle {oracle:.5g}: "
        f"{share:.0%} of the way.",
    )
    _require(
        not bench.metric.better(reference, oracle),
        f"The reference scores {reference:.5g}, better than the oracle's {oracle:.5g}.",
    )


def ideas_apply_to_the_starter_and_compose(bench: Bench) -> None:
    """Let each idea's edit apply alone and compile, and most pairs in either order."""
    ideas, files = load_ideas(bench.task), bench.task.starter_files()
    names = [idea.name for idea in ideas]
    _require(len(set(names)) == len(names), "Two ideas have the same name.")
    _require(len(names) >= LEAST_IDEAS, f"There are {len(names)} ideas; {LEAST_IDEAS} are least.")
    for idea in ideas:
        edited = apply_idea(files, idea)[idea.script]
        _require(edited != files[idea.script], f"Idea {idea.name!r} changes nothing.")
        _compile(edited, f"Idea {idea.name!r}")
    clashes = []
    for one, two in itertools.permutations(ideas, 2):
        try:
            edited = apply_idea(apply_idea(files, one), two)[two.script]
        except TaskError:
            clashes.append(f"{one.name} + {two.name}")
        else:
            _compile(edited, f"{one.name} + {two.name}")
    pairs = len(ideas) * (len(ideas) - 1)
    _require(2 * len(clashes) <= pairs, f"Most ideas do not compose: {', '.join(clashes[:8])}.")


def recorded_scores_are_those_of_this_folder(bench: Bench) -> None:
    """Record every idea in ``scores.json``, and score what it says with the starter."""
    record = bench.recorded()
    ideas = {idea.name for idea in load_ideas(bench.task)}
    stale = f"Run: mlagent measure {bench.task.id}"
    _require(set(record.ideas) == ideas, f"scores.json does not list the ideas. {stale}")
    score = bench.starter.score
    assert score is not None
    expected, scale = record.starter.score, abs(record.reference.score - record.starter.score)
    allowed = max(0.1 * scale, 3 * (record.starter.spread or 0.0))
    _require(
        abs(score - expected) <= allowed,
        f"The starter scores {score:.5g}; scores.json says {expected:.5g}. {stale}",
    )


def ideas_help_hurt_and_do_nothing(bench: Bench) -> None:
    """Have ideas of which half help as measured, some do not, and none alone is the solution."""
    record = bench.recorded()
    start = record.starter.score
    helped = [name for name, m in record.ideas.items() if bench.metric.better(m.score, start)]
    _require(2 * len(helped) >= len(record.ideas), f"Only {helped} help.")
    _require(len(helped) < len(record.ideas), "Every idea helps; real ones do not.")
    best = record.reference.score
    beyond = [name for name, m in record.ideas.items() if bench.metric.better(m.score, best)]
    _require(not beyond, f"{beyond} alone beat the reference.")


def _tree(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _contents(task: Task, folder: Path) -> set[str]:
    """Return what makes up the public data: long rows and texts, and other files.

    What is short may be the same by chance.
    """
    found: set[str] = set()
    for path in sorted((folder / "public").rglob("*")):
        if not path.is_file() or path.name == task.submission.sample:
            continue
        if path.suffix in (".csv", ".json"):
            found.update(_long_rows(task, path))
        elif path.suffix == ".npy":
            found.update(_array_rows(path))
        else:
            found.add(file_digest(path))
    return found


def _long_rows(task: Task, path: Path) -> Iterator[str]:
    import pandas as pd

    if path.suffix == ".json":
        frame = pd.DataFrame(json.loads(path.read_bytes())).astype(str)
    else:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    # Ids are numbered alike in all data and hide equal rows. A long one is content itself:
    # some tasks identify a text by the text.
    ids = [name for name in frame.columns if name == task.submission.id]
    rest = frame.drop(columns=ids).itertuples(index=False, name=None)
    for line in itertools.chain(map(",".join, rest), *(frame[name] for name in ids)):
        if len(line) >= _CONTENT_CHARS:
            yield line


def _array_rows(path: Path) -> Iterator[str]:
    import numpy as np

    for row in np.load(path):
        if row.nbytes >= _CONTENT_CHARS:
            yield hashlib.sha256(row.tobytes()).hexdigest()


def _compile(source: bytes, what: str) -> None:
    try:
        compile(source, "train.py", "exec")
    except SyntaxError as error:
        raise TaskError(f"{what} does not compile: {error}. Fix it.") from error


CHECKS: Mapping[str, Callable[[Bench], None]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            description_names_the_submission_file_and_the_metric,
            synthetic_data_depend_on_the_seed_alone,
            synthetic_files_have_the_real_columns,
            answers_score_perfect,
            sample_submission_is_valid_and_poor,
            nothing_private_is_public,
            starter_is_short_and_seeded,
            starter_scores_within_its_limits,
            reference_is_clearly_better,
            ideas_apply_to_the_starter_and_compose,
            recorded_scores_are_those_of_this_folder,
            ideas_help_hurt_and_do_nothing,
        )
    }
)
"""Every check by its name, quick ones first."""
