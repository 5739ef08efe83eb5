"""A model behind any OpenAI-compatible endpoint, as an agent."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from benchmarks.agents import Reply, Turn
from mlagent_gym import ConfigError

__all__ = ["EndpointAgent"]


class EndpointAgent:
    """Asks ``OPENAI_BASE_URL`` with ``OPENAI_API_KEY``; retries with growing pauses.

    Parameters
    ----------
    model
        Name of the model at the endpoint.
    temperature, max_new_tokens
        Of sampling.
    at_once
        Requests at the same time.
    """

    def __init__(self, model: str, temperature: float, max_new_tokens: int, at_once: int = 8):
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise ConfigError(
                "Endpoints need the openai package: pip install 'mlagent-gym[endpoint]'."
            ) from error
        if "OPENAI_API_KEY" not in os.environ:
            raise ConfigError(
                "Set OPENAI_API_KEY (any text, if the endpoint asks for none) and, for an "
                "endpoint of your own, OPENAI_BASE_URL."
            )
        self._client = AsyncOpenAI(timeout=300.0, max_retries=5)
        self._model = model
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._gate = asyncio.Semaphore(at_once)
        self._price = _prices()

    async def act(self, turn: Turn) -> Reply:
        """Return the model's reply; raise what the client raises after its last retry."""
        messages: Any = [dict(message) for message in turn.messages]
        async with self._gate:
            answer = await self._client.chat.completions.create(
                model=self._model,
                messages=messages,
                temperature=self._temperature,
                max_tokens=self._max_new_tokens,
                seed=turn.seed,
            )
        used = answer.usage
        asked, answered = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
        cost = (asked * self._price[0] + answered * self._price[1]) / 1e6
        return Reply(answer.choices[0].message.content or "", asked, answered, cost)


def _prices() -> tuple[float, float]:
    """Return dollars for a million prompt and completion tokens, from MLAGENT_PRICES."""
    text = os.environ.get("MLAGENT_PRICES", "0,0")
    try:
        asked, answered = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"MLAGENT_PRICES is {text!r}; it holds dollars for a million prompt and completion "
            "tokens, as in 0.15,0.6."
        ) from None
    return asked, answered
