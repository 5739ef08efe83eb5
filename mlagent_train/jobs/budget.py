"""What a policy may use: tokens and dollars in all, requests in a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlagent_train.agents import Reply

__all__ = ["Budget", "OutOfBudget", "SpendingLimits", "spent_in"]


@dataclass(frozen=True)
class SpendingLimits:
    """0: no limit."""

    dollars: float = 0.0
    tokens: int = 0
    requests_per_minute: float = 0.0


class OutOfBudget(Exception):  # noqa: N818 - the end of an allowance, no error
    """Nothing more may be spent; the message says which limit is reached."""


class Budget:
    """Counts what is spent and lets no request through that may not be made.

    Requests that were let through may end after the limit is reached, so that it can be
    overdrawn by one request for each that runs at the same time.

    Parameters
    ----------
    limits
        How much there is.
    dollars, tokens
        Spent before.
    """

    def __init__(self, limits: SpendingLimits, dollars: float = 0.0, tokens: int = 0):
        self._limits = limits
        self._dollars = dollars
        self._tokens = tokens
        self._next = 0.0

    async def admit(self) -> None:
        """Wait for the next request's turn; raise `OutOfBudget` if there is none."""
        self._check()
        if self._limits.requests_per_minute:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + 60.0 / self._limits.requests_per_minute
            await asyncio.sleep(turn - now)
            self._check()

    def spend(self, reply: Reply) -> None:
        """Count a reply."""
        self._dollars += reply.cost
        self._tokens += reply.prompt_tokens + reply.completion_tokens

    def _check(self) -> None:
        limits = self._limits
        if limits.dollars and self._dollars >= limits.dollars:
            raise OutOfBudget(
                f"collect.max_dollars = {limits.dollars:g} is reached: {self._dollars:.4g} spent"
            )
        if limits.tokens and self._tokens >= limits.tokens:
            raise OutOfBudget(
                f"collect.max_tokens = {limits.tokens} is reached: {self._tokens} used"
            )


def spent_in(rows: Iterable[Mapping[str, Any]]) -> tuple[float, int]:
    """Return the dollars and tokens of recorded steps."""
    dollars, tokens = 0.0, 0
    for row in rows:
        used = row["resources"]
        dollars += used.get("cost", 0.0)
        tokens += int(used.get("prompt_tokens", 0) + used.get("completion_tokens", 0))
    return dollars, tokens
