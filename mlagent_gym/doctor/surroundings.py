"""What the environments work with: the sandbox, the tasks' data, the endpoints."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

from mlagent_gym import data
from mlagent_gym.doctor.finding import Finding, Status
from mlagent_gym.endpoint import EndpointConfig
from mlagent_gym.errors import ConfigError, DataError, MLAgentError
from mlagent_gym.sandbox.layers import Presence, layers
from mlagent_gym.sandbox.levels import LEVELS
from mlagent_gym.tasks import Task, load_task, missing_packages, task_ids

__all__ = ["data_of_tasks", "endpoints", "sandbox"]


def sandbox() -> Iterator[Finding]:
    """Try what scripts can be confined with."""
    found = layers()
    levels = found[: len(LEVELS)]
    usable = next((layer for layer in levels if layer.presence is Presence.ACTIVE), None)
    yield Finding(
        "sandbox",
        "scripts",
        Status.OK if usable else Status.BROKEN,
        f"confined by {usable.name}" if usable else "cannot be confined, so that none is run",
        "" if usable else "make one of the levels below possible.",
        needed=True,
    )
    for layer in found:
        missing = layer.presence is Presence.MISSING
        better = layer in levels[: levels.index(usable)] if usable else bool(layer.remedy)
        yield Finding(
            "sandbox",
            layer.name,
            Status.OK if not missing else Status.BROKEN if better else Status.ABSENT,
            f"{'no' if missing else layer.presence}: {layer.meaning}",
            "" if not missing else layer.remedy or "nothing: it is not needed.",
        )


def data_of_tasks() -> Iterator[Finding]:
    """Yield what data each task has here."""
    without = []
    for name in task_ids():
        try:
            task = load_task(name)
            yield _data_of(task)
            if not data.prepared_variants(task):
                without.append(name)
        except MLAgentError as error:
            yield Finding("data", name, Status.BROKEN, str(error), "put the task's folder right.")
    if without:
        yield Finding(
            "data",
            "real data",
            Status.ABSENT,
            f"not prepared for {len(without)} of {len(task_ids())} tasks",
            "for scores beside the paper's: mlagent prepare TASK (or --all)",
        )


def _data_of(task: Task) -> Finding:
    made = any((data.cache_root() / task.id).glob("synthetic-*/manifest.json"))
    parts = ["synthetic" if made else "synthetic (made on first use)"]
    for variant in data.prepared_variants(task):
        try:
            parts.append(f"{variant} ({data.real(task, variant).fingerprint[:8]})")
        except DataError as error:
            remedy = f"delete {data.cache_root() / task.id / variant} and prepare it again."
            return Finding("data", task.id, Status.BROKEN, str(error), remedy)
    if missing := missing_packages(task):
        remedy = "pip install 'mlagent-gym[torch]'" if missing == ["torch"] else "install them."
        value = f"{', '.join(parts)}; its scripts need {', '.join(missing)}"
        return Finding("data", task.id, Status.ABSENT, value, remedy)
    return Finding("data", task.id, Status.OK, ", ".join(parts))


def endpoints() -> Iterator[Finding]:
    """Yield which models are configured; none is asked anything, and no key is shown."""
    how = "to have Edit Script (AI): set MLAGENT_EDITOR_BASE_URL and MLAGENT_EDITOR_MODEL."
    try:
        config = EndpointConfig.from_environment()
    except ConfigError as error:
        yield Finding("endpoints", "editor", Status.BROKEN, str(error), how)
    else:
        yield (
            _editor(config)
            if config
            else Finding("endpoints", "editor", Status.ABSENT, "not configured", how)
        )
    given = bool(os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL"))
    where = os.environ.get("OPENAI_BASE_URL") or "the API's own address"
    yield Finding(
        "endpoints",
        "policies",
        Status.OK if given else Status.ABSENT,
        where if given else "not configured",
        "" if given else "for policies named openai:MODEL: set OPENAI_API_KEY or OPENAI_BASE_URL.",
    )


def _editor(config: EndpointConfig) -> Finding:
    key = "with a key" if os.environ.get(config.key_variable) else "without a key"
    value = f"{config.model} at {config.base_url}, {key}"
    if importlib.util.find_spec("openai") is None:
        remedy = "pip install 'mlagent-gym[endpoint]'"
        return Finding("endpoints", "editor", Status.BROKEN, f"{value}; openai missing", remedy)
    return Finding("endpoints", "editor", Status.OK, value)
