"""The packages: whether what is installed is what this project and OpenRLHF ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mlagent_gym.doctor.finding import Finding, Status

__all__ = ["findings", "misfits"]

_EXTRAS = {
    "torch": "tasks whose scripts use torch",
    "download": "mlagent prepare without --raw",
    "endpoint": "models behind an OpenAI-compatible endpoint",
}
_OURS, _ENGINE = "mlagent-gym", "openrlhf"
_HOW = "see requirements/README.md; in a checkout, run: make setup"
Need = tuple[Requirement, str]
"""A requirement, and the installed version (empty: none)."""


def findings() -> Iterator[Finding]:
    """Yield what is found of the packages."""
    yield _base()
    for extra, use in _EXTRAS.items():
        yield _extra(extra, use)
    yield from _trainer()


def misfits(needs: Iterable[Need]) -> list[str]:
    """Return what is not installed as asked, as ``name==version asked`` each."""
    return [
        f"{need.name} {found or 'missing'} (needs {need.specifier or 'any'})"
        for need, found in needs
        if not found or not need.specifier.contains(found, prereleases=True)
    ]


def _base() -> Finding:
    needs = _needs(_OURS)
    wrong = misfits(needs)
    return Finding(
        "packages",
        _OURS,
        Status.BROKEN if wrong else Status.OK,
        "; ".join(wrong)
        or f"{_installed(_OURS) or 'not installed'}, with its {len(needs)} requirements",
        f"run: pip install --upgrade {_OURS}" if wrong else "",
        needed=True,
    )


def _extra(extra: str, use: str) -> Finding:
    needs = _needs(_OURS, extra)
    wrong = misfits(needs)
    found = ", ".join(f"{need.name} {found}" for need, found in needs if found)
    unfit = any(found for need, found in needs if misfits([(need, found)]))
    status = Status.BROKEN if unfit else Status.ABSENT if wrong else Status.OK
    return Finding(
        "packages",
        f"extra {extra}",
        status,
        "; ".join(wrong) or found,
        f"for {use}: pip install '{_OURS}[{extra}]'" if wrong else "",
    )


def _trainer() -> Iterator[Finding]:
    """Yield how the trainer's stack stands: our pins, then those of OpenRLHF on the same."""
    needs: dict[str, Need] = {canonicalize_name(one[0].name): one for one in _needs(_OURS, "train")}
    engine = _installed(_ENGINE)
    there = [found for _, found in needs.values() if found]
    if not engine and len(there) < len(needs):
        missing = [need.name for need, found in needs.values() if not found]
        yield Finding(
            "trainer",
            "packages",
            Status.ABSENT,
            f"not installed: {', '.join([_ENGINE, *missing])}",
            f"only to train; {_HOW}.",
        )
        return
    if not engine:
        yield Finding("trainer", _ENGINE, Status.ABSENT, "not installed", f"only to train; {_HOW}.")
    else:
        yield _engine(engine, needs)
    wrong = misfits(needs.values())
    pinned = [
        f"{need.name} {found}"
        for need, found in needs.values()
        if any(part.operator == "==" for part in need.specifier)
    ]
    yield Finding(
        "trainer",
        "pins of this project",
        Status.BROKEN if wrong else Status.OK,
        "; ".join(wrong) or ", ".join(pinned),
        f"install them together; {_HOW}." if wrong else "",
    )
    yield _fast_sampling()


def _engine(engine: str, ours: Mapping[str, Need]) -> Finding:
    """Return whether OpenRLHF finds what it asks for, of what the trainer uses."""
    theirs = [need for need in _needs(_ENGINE) if canonicalize_name(need[0].name) in ours]
    wrong = misfits(theirs)
    return Finding(
        "trainer",
        _ENGINE,
        Status.BROKEN if wrong else Status.OK,
        f"{engine}" + (f" does not fit: {'; '.join(wrong)}" if wrong else ""),
        f"install the versions that were tried together; {_HOW}." if wrong else "",
    )


def _fast_sampling() -> Finding:
    needs = [need for need in _needs(_OURS, "train-gpu") if need[0].name == "vllm"]
    found = _installed("vllm")
    wrong = misfits(needs)
    return Finding(
        "trainer",
        "vLLM",
        Status.OK if not wrong else Status.BROKEN if found else Status.ABSENT,
        "; ".join(wrong) or found,
        f"only for GPUs: pip install '{_OURS}[train-gpu]'" if wrong else "",
    )


def _needs(distribution: str, extra: str = "") -> list[Need]:
    """Return what a distribution asks for here, with or for one of its extras only."""
    try:
        asked = [Requirement(text) for text in requires(distribution) or ()]
    except PackageNotFoundError:
        return []
    here = [need for need in asked if _applies(need, extra)]
    if extra:
        here = [need for need in here if not _applies(need, "")]
    own = canonicalize_name(distribution)
    return [
        found
        for need in here
        for found in (
            [one for part in sorted(need.extras) for one in _needs(distribution, part)]
            if canonicalize_name(need.name) == own
            else [(need, _installed(need.name))]
        )
    ]


def _applies(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
