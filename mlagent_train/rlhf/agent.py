"""What OpenRLHF asks for each sample: generate a reply, let an environment answer, report.

OpenRLHF loads this file by its path in every rollout engine and makes an `AgentExecutor`.
One class serves step-wise training (one state, one action), episodes (up to a number of
turns) and the evaluation of whole episodes between updates. Its settings and its workers
come from the named pool, because OpenRLHF can pass it nothing.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from openrlhf.utils.agent import AgentExecutorBase

from mlagent_gym import ACTIONS
from mlagent_train.chat import prompt_text, reply_text, turn_text
from mlagent_train.envs.links import Caller, LinkLostError
from mlagent_train.envs.settings import POOL_NAME, AgentSettings
from mlagent_train.envs.stepping import StepOutcome, StepRequest
from mlagent_train.errors import MachineError

__all__ = ["LOG_KEYS", "AgentExecutor", "log_values"]

_RUNS = {
    "ok": "run_ok",
    "error": "run_error",
    "timeout": "run_timeout",
    "out_of_memory": "run_out_of_memory",
    "output_limit": "run_limit",
    "disk_limit": "run_limit",
    "killed": "run_limit",
}
"""What a run's status is logged as; none when no script ran."""

_ACTIONS = {
    name: "action_" + "_".join(re.findall("[a-z]+", name.lower())) for name in (*ACTIONS, "Invalid")
}
"""What an action is logged as: ``action_edit_script`` and so on."""

LOG_KEYS = (
    "valid",
    "scored",
    "improved",
    "failed",
    "non_edit",
    "corner_case",
    "gain",
    "fault",
    "env_s",
    "queue_s",
    "cached",
    "turns",
    *dict.fromkeys(_RUNS.values()),
    *_ACTIONS.values(),
)
"""Logged for every sample: OpenRLHF needs the same keys from all of them."""


class AgentExecutor(AgentExecutorBase):  # type: ignore[misc]
    """Runs one sample; raises only when the machine as a whole has failed."""

    def __init__(self) -> None:
        pool: Any = ray.get_actor(POOL_NAME)
        settings, address = ray.get([pool.agent_settings.remote(), pool.address.remote()])
        self._settings: AgentSettings = settings
        self._pool = Caller(address)

    async def execute(
        self,
        prompt: str,
        label: str,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """Return the sample in OpenRLHF's form.

        Parameters
        ----------
        prompt
            The rendered chat of the first turn.
        label
            JSON of the row: env_id, state, seed, tags; ``evaluate`` for evaluation rows.
        sampling_params, max_length, hf_tokenizer, llm_engine, images
            As OpenRLHF passes them; lengths in tokens.

        Raises
        ------
        TooManyFaultsError, MachineError
            See `EnvPool.step`: the job has to stop.
        """
        row = json.loads(label)
        if "evaluate" in row:
            return await self._evaluate(prompt, row, sampling_params, hf_tokenizer, llm_engine)
        limit = self._settings.max_new_tokens
        tokens = list(hf_tokenizer(text=prompt, add_special_tokens=False)["input_ids"])
        tokens = tokens[-(max_length - limit) :]
        logprobs = None if sampling_params.logprobs is None else [0.0] * len(tokens)
        ranges: list[tuple[int, int]] = []
        outcomes: list[StepOutcome] = []
        truncated = False
        state = row["state"]
        for turn in range(self._settings.max_turns):
            budget = min(limit, max_length - len(tokens))
            if budget < 1:
                break
            output = await _generate(llm_engine, tokens, sampling_params, budget)
            ids = list(output.token_ids)
            ranges.append((len(tokens), len(tokens) + len(ids)))
            tokens = tokens + ids
            truncated = output.finish_reason == "length"
            if logprobs is not None:
                logprobs += [at[i].logprob for i, at in zip(ids, output.logprobs, strict=True)]
            last = turn == self._settings.max_turns - 1
            request = StepRequest(
                env_id=row["env_id"],
                reply=reply_text(hf_tokenizer, ids),
                state=state,
                seed=row["seed"],
                keep_state=not last,
            )
            outcome: StepOutcome = await self._step(request, {**row["tags"], "turn": turn})
            outcomes.append(outcome)
            result = outcome.result
            if last or result is None or result.terminated or result.truncated:
                break
            state = result.state
            glue = turn_text(hf_tokenizer, ended=not truncated, message=result.messages[-1])
            glue_ids = hf_tokenizer(text=glue, add_special_tokens=False)["input_ids"]
            if len(tokens) + len(glue_ids) >= max_length:
                break
            tokens = tokens + list(glue_ids)
            if logprobs is not None:
                logprobs += [0.0] * len(glue_ids)
        reward = sum(self._reward(outcome) for outcome in outcomes)
        sample = _sample(prompt, label, tokens, ranges, reward)
        sample |= {"rollout_log_probs": logprobs, "truncated": truncated}
        return {**sample, "extra_logs": log_values(outcomes)}

    async def _evaluate(
        self,
        prompt: str,
        row: Mapping[str, Any],
        sampling_params: Any,
        tokenizer: Any,
        llm_engine: Any,
    ) -> dict[str, Any]:
        """Run an episode as the stage ``evaluate`` does: a prompt of its own for each step.

        The reward is the relative gain at the end; nothing is learned from the tokens, so
        that only the last step's are returned.
        """
        settings = row["evaluate"]
        limit, text, state = self._settings.max_new_tokens, prompt, row["state"]
        tokens: list[int] = []
        start, gain = 0, 0.0
        for turn in range(settings["max_steps"]):
            tokens = list(tokenizer(text=text, add_special_tokens=False)["input_ids"])
            tokens = tokens[-settings["max_prompt_tokens"] :]
            output = await _generate(llm_engine, tokens, sampling_params, limit)
            start, ids = len(tokens), list(output.token_ids)
            tokens = tokens + ids
            request = StepRequest(
                env_id=row["env_id"],
                reply=reply_text(tokenizer, ids),
                state=state,
                seed=row["seed"],
                keep_state=True,
            )
            outcome = await self._step(request, {**row["tags"], "turn": turn})
            if outcome.result is None:
                break
            gain = float(outcome.result.info.get("relative_gain") or 0.0)
            if outcome.result.terminated or outcome.result.truncated:
                break
            state, text = outcome.result.state, prompt_text(tokenizer, outcome.result.messages)
        return _sample(prompt, json.dumps(row), tokens, [(start, len(tokens))], gain)

    async def _step(self, request: StepRequest, tags: Mapping[str, Any]) -> StepOutcome:
        try:
            outcome: StepOutcome = await self._pool.ask((request, tags))
        except LinkLostError as error:
            raise MachineError(
                f"The pool of environment workers is gone: {error}"
                ". Run the same command again to go on."
            ) from error
        return outcome

    def _reward(self, outcome: StepOutcome) -> float:
        if outcome.result is None:
            return self._settings.neutral_reward
        return outcome.result.reward


async def _generate(engine: Any, tokens: list[int], sampling_params: Any, budget: int) -> Any:
    """Return the engine's one reply of at most `budget` tokens."""
    params = copy.copy(sampling_params)  # the engine copies what is in it
    params.max_tokens = budget
    params.min_tokens = 1  # OpenRLHF cannot learn from a sample without action tokens
    return (await engine.generate(tokens, params)).outputs[0]


def _sample(
    prompt: str, label: str, tokens: list[int], ranges: list[tuple[int, int]], reward: float
) -> dict[str, Any]:
    """Return what OpenRLHF expects of every sample."""
    return {
        "prompt": prompt,
        "label": label,
        "images": None,
        "mm_train_inputs": None,
        "observation_tokens": tokens,
        "action_ranges": ranges,
        "rollout_log_probs": None,
        "reward": float(reward),
        "scores": float(reward),
        "truncated": False,
        "extra_logs": log_values(()),
    }


def log_values(outcomes: Sequence[StepOutcome]) -> dict[str, float]:
    """Return `LOG_KEYS` of a sample: shares and means of its turns; turns and gain are sums."""
    turns = max(len(outcomes), 1)
    totals = dict.fromkeys(LOG_KEYS, 0.0)
    for outcome in outcomes:
        info = outcome.result.info if outcome.result else {}
        kind = str(info.get("outcome", ""))
        gain = float(info.get("gain") or 0.0)
        totals["valid"] += float(bool(info.get("valid")))
        totals["improved"] += float(gain > 0)
        totals["gain"] += max(-1.0, min(1.0, gain)) * turns
        totals["fault"] += float(bool(outcome.fault))
        totals["cached"] += float(outcome.cached)
        totals["env_s"] += outcome.env_s
        totals["queue_s"] += outcome.queue_s
        for key in (
            kind,
            _RUNS.get(str(info.get("run_status", "")), ""),
            _ACTIONS.get(str(info.get("action", "")), ""),
        ):
            if key in totals:
                totals[key] += 1.0
    logs = {key: value / turns for key, value in totals.items()}
    logs["turns"] = float(len(outcomes))
    return logs
