"""The environment: one task as a text-action Gymnasium env, and the only composer of the parts."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym

from mlagent_gym import actions, data, prompts, rendering
from mlagent_gym.baselines import baseline
from mlagent_gym.editor import Editor, make_editor
from mlagent_gym.endpoint import EndpointConfig
from mlagent_gym.episode import (
    advance,
    check_origin,
    first_state,
    outcome_of,
    queued_s,
    resources_of,
    truncated_by,
)
from mlagent_gym.errors import ConfigError, MissingPackageError, StateCorruptError, WorkspaceError
from mlagent_gym.executor import Executor
from mlagent_gym.grading import metric_of
from mlagent_gym.info import Result, describe
from mlagent_gym.judging import Verdict, judge
from mlagent_gym.pool import StatePool
from mlagent_gym.repeats import judge_over_seeds, mean_of_starter
from mlagent_gym.rewards import Outcome, RewardConfig, as_config, compute_gain, reward
from mlagent_gym.sandbox import make_executor
from mlagent_gym.spaces import FreeText
from mlagent_gym.state import Exchange, State, as_state
from mlagent_gym.steps import Effect, Stage, perform, with_note
from mlagent_gym.store import Staging, Store
from mlagent_gym.tasks import MAIN_SCRIPT, SUBMISSION, Task, load_task, missing_packages
from mlagent_gym.trials import run_limits
from mlagent_gym.workspace import Workspace

__all__ = ["MLAgentEnv"]

_TOO_MUCH = "More was left on the disk than a state may hold: the step was taken back."


class MLAgentEnv(gym.Env[str, str]):
    """Do machine-learning engineering on one task, one text action at a time.

    Made by ``gym.make("MLAgent/<task>-v0", ...)``. An observation is the whole prompt;
    an action is the policy's reply. Source: arXiv 2505.23723, sections 3.1 and 3.3.

    Parameters
    ----------
    task_id
        Name of the task's folder.
    variant
        ``"synthetic"`` data are made on first use. ``"real"`` ones, split as the task's
        benchmark does, are prepared before with ``mlagent prepare``, and so are
        ``"real-partial"`` and ``"real-<split>"``, made with its ``--partial`` and ``--split``.
    data_seed, data_size
        Seed and number of training rows of the synthetic data.
    step_wise
        End the episode after one step (step-wise RL, section 3.2).
    max_steps, max_seconds
        When an episode is truncated.
    prompt
        ``"mlab"``, ``"compact"`` or the path of a template.
    prompt_budget
        Most units of an observation; None: the template's.
    prompt_count
        Units of a text: characters by default, tokens with a tokenizer's length.
    reward
        ``"v1"``, ``"v2"``, or a `RewardConfig` or its parameters.
    score_seeds
        With how many seeds a script is run; the mean of the scores counts (`repeats`).
    observation
        ``"messages"`` adds the prompt as chat messages to ``info["messages"]``.
    executor
        What runs the scripts: an `Executor`, or a name for `make_executor`.
    run_cache
        Folder in which runs are kept and, asked for again, replayed from; it may be shared by
        processes. None: every script is run. For an `executor` given by name.
    store
        Folder of the store that states are saved to; None: in the cache.
    editor
        The model behind "Edit Script (AI)" and "Understand File", which are offered only
        with one: an `EndpointConfig` or its values, or an `Editor`; ``"auto"``: the one
        that ``MLAGENT_EDITOR_*`` variables name, if they do.
    start_states
        A `StatePool`, or the path of one, that `reset` draws a state from; None: episodes
        start with the task's starter.
    render_mode
        ``"human"`` prints each step, ``"ansi"`` lets `render` return it.

    Raises
    ------
    UnknownTaskError, ConfigError
        An argument cannot be used.
    DataMissingError
        The real data were not prepared.
    MissingPackageError
        The task's scripts need a package that is not installed.
    """

    keep_submissions = False
    """Keep each graded submission in the store; ``info["submission"]`` is its digest."""

    metadata: dict[str, Any] = {"render_modes": ["human", "ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        task_id: str,
        *,
        variant: str = "synthetic",
        data_seed: int = 0,
        data_size: int | None = None,
        step_wise: bool = False,
        max_steps: int = 15,
        max_seconds: float = 1800.0,
        prompt: str = "mlab",
        prompt_budget: int | None = None,
        prompt_count: Callable[[str], int] = len,
        reward: str | RewardConfig | Mapping[str, Any] = "v1",
        score_seeds: int = 1,
        observation: Literal["text", "messages"] = "text",
        executor: Executor | str = "auto",
        run_cache: str | os.PathLike[str] | None = None,
        store: str | os.PathLike[str] | None = None,
        editor: Editor | EndpointConfig | Mapping[str, Any] | str | None = "auto",
        start_states: StatePool | str | os.PathLike[str] | None = None,
        render_mode: str | None = None,
    ):
        if score_seeds < 1:
            raise ConfigError(f"score_seeds is {score_seeds}; a script runs with at least 1 seed.")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ConfigError(f"There is no render mode {render_mode!r}; known: human, ansi.")
        self.render_mode = render_mode
        self.observation_space = FreeText()
        self.action_space = FreeText()
        self.task: Task = load_task(task_id)
        if missing := " ".join(missing_packages(self.task)):
            raise MissingPackageError(
                f"The scripts of {task_id} import {missing}, which is not installed here. "
                f"Install it into this environment: pip install {missing}."
            )
        self._template = prompts.load_template(prompt)
        self._prompt_budget = prompt_budget
        self._prompt_count = prompt_count
        self._reward = as_config(reward)
        self._with_messages = observation == "messages"
        self._step_wise = step_wise
        self._max_steps = max_steps
        self._max_seconds = max_seconds
        self._higher_is_better = metric_of(self.task).higher_is_better

        self._data = data.of_variant(self.task, variant, seed=data_seed, size=data_size)
        self.editor = make_editor(editor, data.cache_root() / "completions")
        self._owns_executor = isinstance(executor, str)
        if isinstance(executor, str):
            cache = None if run_cache is None else Path(run_cache)
            self._executor = make_executor(executor, cache=cache)
        elif run_cache is None:
            self._executor = executor
        else:
            raise ConfigError(
                "run_cache is for an executor given by name; put your own into "
                "mlagent_gym.sandbox.CachingExecutor instead."
            )
        self._limits = run_limits(self.task)
        self._baseline = baseline(self.task, self._data, self._executor)
        self._score_seeds = score_seeds
        if score_seeds > 1:
            start = mean_of_starter(self.task, self._data, self._executor, score_seeds)
            self._baseline = replace(self._baseline, m_init=start)
        self.store = Store(store or data.cache_root() / "store")
        self._staging = Staging(self.store)
        self._start_states = start_states
        self._state: State | None = None
        self._history: list[Exchange] = []

    # -- Gymnasium

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode, anew or from a saved state.

        Parameters
        ----------
        seed
            Seeds the episode and its scripts.
        options
            ``{"state": ...}``: a `State`, its decoded JSON, or the path of a saved one.
            ``{"pool": ...}``: a `StatePool` or the path of one, to draw a state from.

        Raises
        ------
        StateError
            The state cannot be continued here.
        StoreError
            The store does not have what the state needs, or has it damaged.
        """
        super().reset(seed=seed)
        start = self._start_state(options or {})
        if start is None:
            self._start_anew(int(self.np_random.integers(2**31)) if seed is None else seed)
        else:
            self._start_from(start)
        if self.render_mode == "human":
            self.render()
        messages = self._messages()
        return prompts.render_text(messages), self._info(Result(), messages)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out one reply of the policy.

        Raises
        ------
        MachineError, StoreError
            The machine failed; the step must not be learned from.
        """
        started = time.perf_counter()
        before = self._current
        reply = action.encode("utf-8", "replace").decode()
        parsed = actions.parse(reply, editor=self.editor is not None)
        try:
            stage = self._stage(before)
            effect = perform(parsed, stage)
            performed = time.perf_counter()
            effect, verdict = self._judge(effect, stage)
            outcome = outcome_of(parsed, effect, verdict)
            graded = time.perf_counter()
            files = self._snapshot()
            if files is None:
                self._workspace.restore(before.files, self._staging.get)
                effect = with_note(replace(effect, edited=None, undone=None), _TOO_MUCH)
                verdict, outcome, files = None, Outcome.CORNER_CASE, before.files
            score = None if verdict is None else verdict.score
            turn = Exchange(reply, effect.feedback, effect.summary, score)
            submission = self._keep(verdict)
            after = advance(
                before,
                effect,
                verdict,
                files=files,
                exchange=self._staging.put(turn.to_json()),
                before=None if effect.before is None else self._staging.put(effect.before),
                # A busy machine is not the agent's fault: its queue costs no time.
                elapsed_s=before.elapsed_s + time.perf_counter() - started - queued_s(effect),
                higher_is_better=self._higher_is_better,
            )
        except BaseException:
            self._workspace.restore(before.files, self._staging.get)  # as if it had not been tried
            raise
        self._state = after
        self._history.append(turn)
        gain = self._gain(before.score, after.score) if outcome is Outcome.SCORED else 0.0
        limit = truncated_by(after, self._max_steps, self._max_seconds)
        if self.render_mode == "human":
            self.render()
        messages = self._messages()
        resources = resources_of(
            effect,
            act_s=performed - started,
            grade_s=graded - performed,
            total_s=time.perf_counter() - started,
        )
        graded_as = verdict or Verdict(None)
        result = Result(
            effect,
            parsed.name,
            outcome,
            gain,
            resources,
            limit,
            submission,
            also=graded_as.also,
            flag=graded_as.flag,
        )
        return (
            prompts.render_text(messages),
            reward(outcome, gain, self._reward),
            effect.final or self._step_wise,
            bool(limit),
            self._info(result, messages),
        )

    def state(self) -> State:
        """Return the state after the last step, with all it needs brought into the store."""
        self._staging.commit(self._current.blobs)
        return self._current

    def render(self) -> str | None:
        """Show the last step: print it in mode ``"human"``, return it in mode ``"ansi"``."""
        if self.render_mode is None:
            return None
        text = rendering.to_ansi(
            rendering.frame(
                self.task,
                self._current,
                self._history,
                initial=self._baseline.m_init,
                reference=self._baseline.m_best,
                higher_is_better=self._higher_is_better,
            )
        )
        if self.render_mode == "ansi":
            return text
        print(text, end="", flush=True)
        return None

    def close(self) -> None:
        """Delete the workspace and release the executor."""
        if "_workspace" in self.__dict__:
            self._workspace.close()
            del self._workspace
        self._staging.clear()
        if self._owns_executor:
            self._executor.close()
        self._state = None

    # -- starting

    @property
    def _current(self) -> State:
        if self._state is None:
            raise gym.error.ResetNeeded("Call reset() before step() or state().")
        return self._state

    @functools.cached_property
    def _workspace(self) -> Workspace:
        return Workspace(self._data.public)

    def _start_state(self, options: Mapping[str, Any]) -> State | None:
        """Return the state that was asked for or drawn; None: start anew."""
        if unknown := set(options) - {"state", "pool"}:
            named = ", ".join(sorted(unknown))
            raise ConfigError(f"reset has no option {named}; known: state, pool.")
        if options.get("state") is not None:
            return as_state(options["state"])
        pool = options.get("pool", self._start_states)
        if pool is None:
            return None
        pool = pool if isinstance(pool, StatePool) else StatePool(pool)
        data = self._data
        return pool.draw(
            self.np_random, task=data.task_id, variant=data.variant, fingerprint=data.fingerprint
        )

    def _start_anew(self, seed: int) -> None:
        self._staging.clear()
        starter = self.task.starter_files()
        files = {path: self._staging.put(content) for path, content in starter.items()}
        self._workspace.restore(files, self._staging.get)
        self._history = []
        self._state = first_state(self._data, self._baseline, seed, files)

    def _start_from(self, state: State) -> None:
        check_origin(state, self._data)
        self._state = None  # nothing can be gone on with if this fails
        self._staging.clear()
        self._history = [Exchange.from_json(self._staging.get(one)) for one in state.history]
        try:
            self._workspace.restore(state.files, self._staging.get)
        except WorkspaceError as error:
            raise StateCorruptError(
                f"The state's files cannot be laid out: {error}"
                " Save the state again where it came from."
            ) from error
        self._state = state

    # -- stepping

    def _stage(self, state: State) -> Stage:
        left_s = max(self._max_seconds - state.elapsed_s, 1.0)
        return Stage(
            workspace=self._workspace,
            data=self._data.public,
            executor=self._executor,
            limits=replace(self._limits, wall_s=min(self._limits.wall_s, left_s)),
            seed=state.seed,
            editor=self.editor,
            previous={
                path: None if (digest := versions[-1][0]) is None else self._staging.get(digest)
                for path, versions in state.undo.items()
            },
        )

    def _judge(self, effect: Effect, stage: Stage) -> tuple[Effect, Verdict | None]:
        if effect.run is None:
            return effect, None
        verdict = judge(self.task, self._data, self._workspace, effect.run)
        effect, verdict = judge_over_seeds(
            self.task, self._data, stage, effect, verdict, self._score_seeds
        )
        graded = f"The {SUBMISSION} is valid and was graded."
        return with_note(effect, verdict.reason or graded), verdict

    def _snapshot(self) -> Mapping[str, str] | None:
        """Return the files now, or None if they are more than a state may hold."""
        try:
            return self._workspace.snapshot(self._staging.put)
        except WorkspaceError:
            return None

    def _keep(self, verdict: Verdict | None) -> str:
        """Return the digest of the submission, brought into the store; empty if it is not kept."""
        if not self.keep_submissions or verdict is None or verdict.submission is None:
            return ""
        return self.store.put(verdict.submission)

    def _gain(self, before: float | None, after: float | None) -> float:
        if before is None or after is None:
            return 0.0
        return compute_gain(
            before,
            after,
            m_init=self._baseline.m_init,
            m_best=self._baseline.m_best,
            higher_is_better=self._higher_is_better,
            floor=self._reward.floor,
        )

    # -- showing

    def _messages(self) -> list[dict[str, str]]:
        view = prompts.View(
            title=self.task.title,
            description=self.task.description,
            metric=self.task.metric,
            higher_is_better=self._higher_is_better,
            actions=actions.usage(editor=self.editor is not None),
            form=actions.skeleton(editor=self.editor is not None),
            script=self._main_script(),
            history=[(turn.reply, turn.feedback, turn.summary) for turn in self._history],
            max_steps=self._max_steps,
            max_seconds=self._max_seconds,
        )
        return prompts.render_messages(
            self._template, view, budget=self._prompt_budget, count=self._prompt_count
        )

    def _main_script(self) -> str:
        try:
            return self._workspace.read(MAIN_SCRIPT).decode("utf-8", "replace")
        except WorkspaceError:  # the agent made something else of it
            return ""

    def _info(self, result: Result, messages: list[dict[str, str]]) -> dict[str, Any]:
        info = describe(
            self._current, self._baseline, result, higher_is_better=self._higher_is_better
        )
        return {**info, "messages": messages} if self._with_messages else info
