"""Noise-aware scores: a script is run with several seeds, and the mean of its scores counts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from mlagent_gym import notebooks
from mlagent_gym.baselines import load_scores, scripts_digest
from mlagent_gym.data import Prepared
from mlagent_gym.errors import TaskError, WorkspaceError
from mlagent_gym.executor import Executor, Run
from mlagent_gym.judging import Verdict, judge
from mlagent_gym.steps import Effect, Stage, run_script
from mlagent_gym.tasks import Task
from mlagent_gym.trials import reseed, try_files

__all__ = ["judge_over_seeds", "mean_of_starter"]

_SEED = re.compile(r"^SEED = (\d{1,18})$", re.MULTILINE | re.ASCII)
_MAX_LEFT_BYTES = 2**26


def judge_over_seeds(
    task: Task, prepared: Prepared, stage: Stage, effect: Effect, verdict: Verdict, seeds: int
) -> tuple[Effect, Verdict]:
    """Run a script that was graded with further seeds and return the mean of the scores.

    Each run is of the script as it was before the first, whatever that made of it, with
    the line ``SEED = <number>`` counted up, if it has one, and so is the seed of the run.
    Afterwards the script is as the first run left it.

    Parameters
    ----------
    task, prepared, stage
        What is graded, on which data and where.
    effect, verdict
        The script's run with the first seed, and what that scored.
    seeds
        With how many seeds it is run in all.

    Returns
    -------
    effect, verdict
        The mean of all; or the first run without a score. The run's time and processor
        time are of all together.
    """
    if verdict.score is None or seeds == 1 or effect.run is None:
        return effect, verdict
    workspace, path, runs, verdicts = stage.workspace, effect.script, [effect.run], [verdict]
    left = _content_of(stage, path)
    try:
        for further in range(1, seeds):
            workspace.remove(path)  # whatever was put in its place
            workspace.write(path, _count_up(path, effect.source, further))
            runs.append(run_script(replace(stage, seed=stage.seed + further), path))
            found = judge(task, prepared, workspace, runs[-1])
            if found.score is None:
                reason = f"With another seed, the same script did worse. {found.reason}"
                return _after(effect, runs[-1], runs), replace(found, reason=reason)
            verdicts.append(found)
    except WorkspaceError as error:
        reason = f"The script cannot be run with another seed: {error}"
        return _after(effect, effect.run, runs), Verdict(None, reason)
    finally:
        with contextlib.suppress(WorkspaceError):
            workspace.remove(path)
            if left is not None:
                workspace.write(path, left)
    return _after(effect, effect.run, runs), Verdict(
        fmean(one.score for one in verdicts if one.score is not None),
        also={name: fmean(one.also[name] for one in verdicts) for name in verdict.also},
        flag=next((one.flag for one in verdicts if one.flag), ""),
    )


def mean_of_starter(task: Task, prepared: Prepared, executor: Executor, seeds: int) -> float:
    """Return the mean of the starter's scores with seeds 0, 1, ...

    Raises
    ------
    TaskError
        A run of the starter has no score.
    """
    known = load_scores(task).get(prepared.fingerprint)
    if known and known.scripts == scripts_digest(task) and len(known.starter.scores) >= seeds:
        return fmean(known.starter.scores[:seeds])
    scores = []
    for seed in range(seeds):
        trial = try_files(task, prepared, executor, reseed(task.starter_files(), seed))
        if trial.score is None:
            raise TaskError(
                f"The starter of {task.id} has no score: {trial.reason}"
                f" Try `mlagent check {task.id}`."
            )
        scores.append(trial.score)
    return fmean(scores)


def _after(effect: Effect, run: Run, runs: Sequence[Run]) -> Effect:
    """Return the effect with one of its runs, and what all of them took."""
    all_took = replace(
        run,
        wall_s=sum(one.wall_s for one in runs),
        queued_s=sum(one.queued_s for one in runs),
        cpu_s=sum(one.cpu_s for one in runs),
        peak_memory_mb=max(one.peak_memory_mb for one in runs),
        written_mb=max(one.written_mb for one in runs),
    )
    return replace(effect, run=all_took)


def _content_of(stage: Stage, path: str) -> bytes | None:
    try:
        return stage.workspace.read(path, _MAX_LEFT_BYTES)
    except WorkspaceError:  # the script has put something else in its place, or nothing
        return None


def _count_up(path: str, source: bytes | None, by: int) -> bytes:
    if source is None:
        raise WorkspaceError("it could not be read before its first run.")

    def counted_up(text: str) -> str:
        return _SEED.sub(lambda line: f"SEED = {int(line.group(1)) + by}", text)

    if notebooks.is_notebook(path):
        return notebooks.with_code(source, counted_up)
    return counted_up(source.decode("latin-1")).encode("latin-1")  # any bytes, and the same ones
