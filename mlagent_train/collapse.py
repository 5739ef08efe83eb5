"""When a policy has collapsed: too few valid actions, or no entropy left."""

from __future__ import annotations

from collections.abc import Mapping

from mlagent_train.config.schema import Collapse

__all__ = ["collapse_reason"]

_FLOORS = (
    ("train/valid", "min_valid", "share of valid actions"),
    ("train/entropy_loss", "min_entropy", "entropy"),
)


def collapse_reason(scalars: Mapping[int, Mapping[str, float]], limits: Collapse) -> str:
    """Return why training should stop, in words; empty: it should not.

    Parameters
    ----------
    scalars
        OpenRLHF's by update, as `mlagent_train.scalars.read_scalars` returns them.
    limits
        The floors and for how many updates in a row a value must be below one.
    """
    if not limits.updates:
        return ""
    for tag, name, words in _FLOORS:
        values = [scalars[update][tag] for update in sorted(scalars) if tag in scalars[update]]
        last, floor = values[-limits.updates :], getattr(limits, name)
        if len(last) == limits.updates and all(value < floor for value in last):
            return (
                f"the {words} was below collapse.{name} = {floor:g} for {limits.updates} updates "
                f"in a row (now {last[-1]:.4f})"
            )
    return ""
