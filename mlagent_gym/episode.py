"""The rules of an episode, as functions: where it starts, what a step comes to, when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlagent_gym.actions import Action, EditScript, EditScriptAI
from mlagent_gym.baselines import Baseline
from mlagent_gym.data import Prepared
from mlagent_gym.endpoint import Completion
from mlagent_gym.errors import StateMismatchError
from mlagent_gym.executor import Run, RunStatus
from mlagent_gym.judging import Verdict
from mlagent_gym.rewards import Outcome
from mlagent_gym.state import State, Version
from mlagent_gym.steps import Effect, is_corner_case

__all__ = [
    "Resources",
    "advance",
    "check_origin",
    "first_state",
    "outcome_of",
    "queued_s",
    "resources_of",
    "truncated_by",
]


@dataclass(frozen=True)
class Resources:
    """What a step took. Equal to any other: two runs of the same step never take the same."""

    act_s: float = field(default=0.0, compare=False)
    """Wall-clock seconds of carrying out the action."""
    grade_s: float = field(default=0.0, compare=False)
    """Wall-clock seconds of grading."""
    total_s: float = field(default=0.0, compare=False)
    """Wall-clock seconds of the whole step."""
    queued_s: float = field(default=0.0, compare=False)
    """Of `act_s`, the seconds the script waited for its turn."""
    cpu_s: float = field(default=0.0, compare=False)
    """Processor seconds of the script."""
    peak_memory_mb: float = field(default=0.0, compare=False)
    """Most memory the script's processes held at once."""
    written_mb: float = field(default=0.0, compare=False)
    """What the script left on the disk."""
    editor_tokens: int = field(default=0, compare=False)
    """Tokens of question and answer that the editor was paid for."""
    editor_cost: float = field(default=0.0, compare=False)
    """Dollars the editor was paid."""


def resources_of(effect: Effect, *, act_s: float, grade_s: float, total_s: float) -> Resources:
    """Return what a step took, given its wall-clock seconds."""
    run = effect.run or Run(RunStatus.OK, "")
    paid = effect.asked if effect.asked and not effect.asked.cached else Completion("")
    return Resources(
        act_s=act_s,
        grade_s=grade_s,
        total_s=total_s,
        queued_s=queued_s(effect),
        cpu_s=run.cpu_s,
        peak_memory_mb=run.peak_memory_mb,
        written_mb=run.written_mb,
        editor_tokens=paid.prompt_tokens + paid.completion_tokens,
        editor_cost=paid.cost,
    )


def queued_s(effect: Effect) -> float:
    """Return how long the script of a step waited for its turn."""
    return 0.0 if effect.run is None else effect.run.queued_s


def first_state(prepared: Prepared, baseline: Baseline, seed: int, files: dict[str, str]) -> State:
    """Return the state an episode starts in: the starter's files, with the starter's score."""
    return State(
        task=prepared.task_id,
        variant=prepared.variant,
        fingerprint=prepared.fingerprint,
        seed=seed,
        files=files,
        score=baseline.m_init,
        best_score=baseline.m_init,
    )


def check_origin(state: State, prepared: Prepared) -> None:
    """Refuse a state of another task, variant or data.

    Raises
    ------
    StateMismatchError
        It is one.
    """
    for name, theirs, ours in (
        ("task", state.task, prepared.task_id),
        ("variant", state.variant, prepared.variant),
        ("data fingerprint", state.fingerprint, prepared.fingerprint),
    ):
        if theirs != ours:
            raise StateMismatchError(
                f"This state's {name} is {theirs}, this environment's is {ours}. Scores on "
                "different data cannot be compared: make the environment the state is from."
            )


def outcome_of(action: Action, effect: Effect, verdict: Verdict | None) -> Outcome:
    """Return what a step came to, as far as the reward is concerned.

    Source: arXiv 2505.23723, section 3.3. Running an unchanged script is a valid action
    that is no edit, however it scores.
    """
    if effect.run is None or verdict is None:
        if effect.outage:
            return Outcome.CORNER_CASE
        return Outcome.INVALID if effect.refused else Outcome.NON_EDIT
    if verdict.score is not None:
        return Outcome.SCORED if isinstance(action, EditScript | EditScriptAI) else Outcome.NON_EDIT
    return Outcome.CORNER_CASE if is_corner_case(effect.run, effect.missing) else Outcome.FAILED


def advance(
    state: State,
    effect: Effect,
    verdict: Verdict | None,
    *,
    files: Mapping[str, str],
    exchange: str,
    before: str | None,
    elapsed_s: float,
    higher_is_better: bool,
) -> State:
    """Return the state after a step.

    Parameters
    ----------
    state
        The state before it.
    effect, verdict
        What was done, and what its run scored.
    files
        Digests of the workspace's files now.
    exchange
        Digest of the step's exchange.
    before
        Digest of the edited script as it was; None if it was not there.
    elapsed_s
        Seconds the episode has taken, this step included.
    higher_is_better
        Direction of the metric.
    """
    graded = None if verdict is None else verdict.score
    score = state.score if graded is None else graded
    undo, order = dict(state.undo), list(_order(state))
    if effect.edited is not None:
        undo[effect.edited] = (*undo.get(effect.edited, ()), (before, state.score))
        order.append((effect.edited, graded is not None))
    if effect.undone is not None:
        score = _take_back(effect.undone, undo, order, score)
    return replace(
        state,
        files=files,
        history=(*state.history, exchange),
        undo=undo,
        undo_order=tuple(order) if len(undo) > 1 else (),
        score=score,
        best_score=_better(state.best_score, score, higher_is_better),
        step=state.step + 1,
        elapsed_s=elapsed_s,
        final=effect.final,
    )


def truncated_by(state: State, max_steps: int, max_seconds: float) -> str:
    """Return ``"steps"`` or ``"seconds"`` if a limit ended the episode, else an empty text."""
    if state.final:
        return ""
    if state.step >= max_steps:
        return "steps"
    return "seconds" if state.elapsed_s >= max_seconds else ""


def _order(state: State) -> tuple[tuple[str, bool], ...]:
    """Return the edits that can be undone, oldest first, as far as is known."""
    order = tuple((path, True) for path, versions in state.undo.items() for _ in versions)
    known = sorted(path for path, _ in state.undo_order) == sorted(path for path, _ in order)
    return state.undo_order if known else order


def _take_back(
    path: str,
    undo: dict[str, tuple[Version, ...]],
    order: list[tuple[str, bool]],
    score: float | None,
) -> float | None:
    """Take the last edit of a script out of `undo` and `order`, and return the score then.

    It is that from before the edit, unless a later edit was graded: that one's stays. The
    score from before is then what undoing the later edit brings back.
    """
    *older, (_, came_back) = undo.pop(path)
    if older:
        undo[path] = tuple(older)
    paths = [edited for edited, _ in order]
    at = len(paths) - 1 - paths[::-1].index(path)
    del order[at], paths[at]
    for place, (later, graded) in enumerate(order[at:], start=at):
        versions = list(undo[later])
        nth = paths[:place].count(later)
        versions[nth] = (versions[nth][0], came_back)
        undo[later] = tuple(versions)
        if graded:
            return score
    return came_back


def _better(a: float | None, b: float | None, higher_is_better: bool) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b) if higher_is_better else min(a, b)
