"""One question to a model behind an OpenAI-compatible endpoint, asked once and remembered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlagent_gym.errors import ConfigError, EndpointError

__all__ = ["Completion", "EndpointConfig", "complete"]

Messages = Sequence[Mapping[str, str]]

_POLL_S = 0.05


@dataclass(frozen=True)
class EndpointConfig:
    """Where a model is and how it is asked. Holds no secret, so it can be saved anywhere."""

    base_url: str
    """Address of the API, as in ``https://host/v1``."""
    model: str
    key_variable: str = "MLAGENT_EDITOR_KEY"
    """Environment variable with the key; it may be unset if the endpoint asks for none."""
    timeout_s: float = 120.0
    """Of one attempt."""
    retries: int = 4
    """Further attempts, with growing pauses, when it is busy, broken or unreachable."""
    at_once: int = 8
    """Most questions at the same time, of all processes with the same cache."""
    max_tokens: int = 4096
    temperature: float = 0.0
    prompt_price: float = 0.0
    """Dollars for a million tokens."""
    completion_price: float = 0.0
    """Dollars for a million tokens."""

    @classmethod
    def from_environment(cls, prefix: str = "MLAGENT_EDITOR_") -> EndpointConfig | None:
        """Read ``<prefix>BASE_URL``, ``<prefix>MODEL`` and so on; None if no URL is set.

        Raises
        ------
        ConfigError
            A value cannot be used, or the model is missing.
        """
        values = {
            name.removeprefix(prefix).lower(): value
            for name, value in os.environ.items()
            if name.startswith(prefix) and name != f"{prefix}KEY"
        }
        return cls.from_values(values) if "base_url" in values else None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> EndpointConfig:
        """Build one from a mapping; raises `ConfigError` if a key or value is wrong."""
        from pydantic import TypeAdapter, ValidationError

        unknown = set(values) - set(cls.__dataclass_fields__)
        try:
            if unknown:
                raise ConfigError(
                    f"An endpoint has no {', '.join(sorted(unknown))}."
                    " See mlagent_gym.EndpointConfig for what it has."
                )
            config: EndpointConfig = TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ConfigError(
                f"The endpoint's {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}."
                " See mlagent_gym.EndpointConfig."
            ) from error
        return config


@dataclass(frozen=True)
class Completion:
    """What a model answered, and what that took."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """Dollars."""
    cached: bool = False
    """It was answered before: the tokens were not used again."""


def complete(config: EndpointConfig, messages: Messages, cache: Path) -> Completion:
    """Ask a model, or return what it answered to the same question before.

    Parameters
    ----------
    config
        Which model.
    messages
        The question, as chat messages.
    cache
        Folder of the answers, shared by processes.

    Raises
    ------
    EndpointError
        There was no answer in all attempts, or none that can be used.
    """
    path = _path(config, messages, cache)
    if (known := _known(path)) is not None:
        return known
    with _slot(config, cache):
        if (known := _known(path)) is not None:  # somebody asked while we waited
            return known
        answer = _ask(config, messages)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{random.getrandbits(32):08x}")
    temporary.write_text(json.dumps(asdict(answer)), encoding="utf-8")
    temporary.replace(path)
    return answer


def _path(config: EndpointConfig, messages: Messages, cache: Path) -> Path:
    question = [config.base_url, config.model, config.max_tokens, config.temperature]
    content = json.dumps([*question, [dict(message) for message in messages]], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return cache / digest[:2] / f"{digest[2:]}.json"


def _known(path: Path) -> Completion | None:
    try:
        values = json.loads(path.read_bytes())
        return Completion(**{**values, "cost": 0.0, "cached": True})
    except (OSError, ValueError, TypeError):
        return None  # not asked before, or the file is damaged: it is asked anew


@contextlib.contextmanager
def _slot(config: EndpointConfig, cache: Path) -> Iterator[None]:
    """Hold one of the places of those who may ask at the same time."""
    from filelock import FileLock, Timeout

    name = hashlib.sha256(config.base_url.encode()).hexdigest()[:16]
    folder = cache / "slots"
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + config.timeout_s * (config.retries + 1)
    while time.monotonic() < deadline:
        for number in random.sample(range(config.at_once), config.at_once):
            with contextlib.suppress(Timeout), FileLock(folder / f"{name}-{number}", timeout=0):
                yield
                return
        time.sleep(_POLL_S)
    raise EndpointError(
        f"{config.base_url} was busy with {config.at_once} other questions."
        " Set a higher at_once or timeout_s."
    )


def _ask(config: EndpointConfig, messages: Messages) -> Completion:
    import openai

    question: Any = [dict(message) for message in messages]
    key = os.environ.get(config.key_variable, "none")
    try:
        with openai.OpenAI(
            base_url=config.base_url,
            api_key=key,
            timeout=config.timeout_s,
            max_retries=config.retries,
        ) as client:
            answer = client.chat.completions.create(
                model=config.model,
                messages=question,
                max_tokens=config.max_tokens,
                temperature=config.temperature,
            )
        choice, used = answer.choices[0], answer.usage
        text = choice.message.content or ""
    except (openai.OpenAIError, ValueError) as error:
        raise EndpointError(
            f"{config.model} at {config.base_url} did not answer: {type(error).__name__}: "
            f"{str(error)[:200]}"
            ". Try again, or check base_url, model and key."
        ) from error
    except (AttributeError, IndexError, TypeError) as error:
        raise EndpointError(
            f"{config.base_url} answered something else: {error}."
            " Set base_url to one that speaks OpenAI's chat completions."
        ) from error
    if choice.finish_reason == "length" or not text.strip():
        raise EndpointError(
            f"The answer of {config.model} is "
            f"{f'longer than {config.max_tokens} tokens' if text else 'empty'}."
            " Set a higher max_tokens, or try another model."
        )
    asked, answered = (used.prompt_tokens, used.completion_tokens) if used else (0, 0)
    cost = (asked * config.prompt_price + answered * config.completion_price) / 1e6
    return Completion(text, asked, answered, cost)
