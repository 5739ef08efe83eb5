"""A model behind any OpenAI-compatible endpoint, vLLM's server too, as an agent."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

from mlagent_train.agents.base import Reply, Sampling, Turn
from mlagent_train.errors import ConfigError, EndpointError

__all__ = ["EndpointAgent", "prices", "served_model"]

_TOO_LONG = re.compile(r"context.length|maximum (model|context) length", re.IGNORECASE)
"""How OpenAI's and vLLM's servers say that a prompt does not fit."""


class EndpointAgent:
    """Asks ``OPENAI_BASE_URL`` with ``OPENAI_API_KEY``; retries with growing pauses.

    Parameters
    ----------
    model
        Name of the model at the endpoint.
    sampling
        How it generates; what an endpoint does not take is left out.
    at_once
        Requests at the same time.
    base_url
        Address of a server of one's own, which may ask for no key; None: OPENAI_BASE_URL.

    Raises
    ------
    ConfigError
        The client or the key is missing.
    """

    def __init__(
        self, model: str, sampling: Sampling, at_once: int = 8, base_url: str | None = None
    ):
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise ConfigError(
                "Endpoints need the openai package: pip install 'mlagent-gym[endpoint]'."
            ) from error
        if "OPENAI_API_KEY" not in os.environ and base_url is None:
            raise ConfigError(
                "Set OPENAI_API_KEY (any text, if the endpoint asks for none) and, for an "
                "endpoint of your own, OPENAI_BASE_URL."
            )
        key = os.environ.get("OPENAI_API_KEY", "none")
        self._client = AsyncOpenAI(base_url=base_url, api_key=key, timeout=300.0, max_retries=5)
        self._model = model
        self._sampling = sampling
        self._gate = asyncio.Semaphore(at_once)
        self._price = prices()

    async def act(self, turn: Turn) -> Reply:
        """Return the model's reply; an empty one if the prompt is longer than its context.

        Raises
        ------
        ConfigError
            The endpoint knows neither the key nor the model: asking again is of no use.
        EndpointError
            No answer after the last retry, or one that is none.
        """
        import openai

        messages: Any = [dict(message) for message in turn.messages]
        refused = (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError)
        try:
            async with self._gate:
                answer = await self._client.chat.completions.create(
                    model=self._model,
                    messages=messages,
                    temperature=self._sampling.temperature,
                    top_p=self._sampling.top_p,
                    max_tokens=self._sampling.max_new_tokens,
                    seed=turn.seed,
                )
            text = answer.choices[0].message.content or ""
        except refused as error:
            raise ConfigError(
                f"{self._where} refuses the request: {str(error)[:200]}. "
                "Set OPENAI_API_KEY and the model's name to what it knows."
            ) from error
        except (openai.OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
            if isinstance(error, openai.BadRequestError) and _TOO_LONG.search(str(error)):
                return Reply("")  # asking again is of no use, and it is the policy's own limit
            raise EndpointError(
                f"{self._where} did not answer: {type(error).__name__}: {str(error)[:200]}. "
                "Run the same command again when it does."
            ) from error
        used = answer.usage
        asked, answered = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
        cost = (asked * self._price[0] + answered * self._price[1]) / 1e6
        return Reply(text, asked, answered, cost)

    @property
    def _where(self) -> str:
        return f"{self._model} at {self._client.base_url}"


def served_model(base_url: str) -> str:
    """Return the name of the model that a server offers first, as vLLM's has only one.

    Raises
    ------
    ConfigError
        The client is missing, or there is no such server.
    """
    try:
        import openai

        key = os.environ.get("OPENAI_API_KEY", "none")
        with openai.OpenAI(base_url=base_url, api_key=key, timeout=60.0) as client:
            return str(client.models.list().data[0].id)
    except ImportError as error:
        raise ConfigError(
            "Endpoints need the openai package: pip install 'mlagent-gym[endpoint]'."
        ) from error
    except (openai.OpenAIError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise ConfigError(
            f"No server at {base_url} says which model it has ({type(error).__name__}: "
            f"{str(error)[:200]}). Start it with `vllm serve`, and give its address with /v1."
        ) from error


def prices() -> tuple[float, float]:
    """Return dollars for a million prompt and completion tokens, from MLAGENT_PRICES."""
    text = os.environ.get("MLAGENT_PRICES", "0,0")
    try:
        asked, answered = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"MLAGENT_PRICES is {text!r}; set it to dollars for a million prompt and "
            "completion tokens, as in 0.15,0.6."
        ) from None
    return asked, answered
