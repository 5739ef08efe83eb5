"""Noise-aware scores: a script is run with several seeds, and the mean of its scores counts."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import fmean

from mlagent_gym.baselines import load_scores, scripts_digest
from mlagent_gym.data import Prepared
from mlagent_gym.errors import TaskError
from mlagent_gym.executor import Executor, Run
from mlagent_gym.judging import Verdict, judge
from mlagent_gym.steps import Stage
from mlagent_gym.tasks import Task
from mlagent_gym.trials import reseed, try_files

__all__ = ["judge_over_seeds", "mean_of_starter"]

_SEED = re.compile(rb"^SEED = (\d+)$", re.MULTILINE)


def judge_over_seeds(
    task: Task,
    prepared: Prepared,
    stage: Stage,
    script: str,
    run: Run,
    verdict: Verdict,
    seeds: int,
) -> tuple[Run, Verdict]:
    """Run a script that was graded with further seeds and return the mean of the scores.

    The script's line ``SEED = <number>`` is counted up, if it has one, and so is the seed
    of the run. Afterwards the script is as it was.

    Parameters
    ----------
    task, prepared, stage
        What is graded, on which data and where.
    script
        Path of the script.
    run, verdict
        Its run with the first seed, and what that scored.
    seeds
        With how many seeds it is run in all.

    Returns
    -------
    run, verdict
        The run with the mean of all; or the first run without a score.
    """
    if verdict.score is None or seeds == 1:
        return run, verdict
    source, verdicts = stage.workspace.read(script), [verdict]
    try:
        for further in range(1, seeds):
            stage.workspace.write(script, _count_up(source, further))
            again = stage.executor.run(
                script, stage.workspace.path, stage.data, stage.limits, seed=stage.seed + further
            )
            found = judge(task, prepared, stage.workspace, again)
            if found.score is None:
                reason = f"With another seed, the same script did worse. {found.reason}"
                return again, replace(found, reason=reason)
            verdicts.append(found)
    finally:
        stage.workspace.write(script, source)
    return run, Verdict(
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


def _count_up(source: bytes, by: int) -> bytes:
    return _SEED.sub(lambda line: b"SEED = %d" % (int(line.group(1)) + by), source)
