"""The preloaded interpreter has what the tasks' scripts import."""

from __future__ import annotations

import ast
import sys

import pytest

from mlagent_gym.sandbox.preload import PRELOAD
from mlagent_gym.tasks import load_task, task_ids


@pytest.mark.parametrize("task_id", task_ids())
def test_what_a_tasks_scripts_import_is_preloaded(task_id: str) -> None:
    task = load_task(task_id)
    own = {path.removesuffix(".py") for path in (*task.starter_files(), *task.reference_files())}
    imported = {
        name
        for files in (task.starter_files(), task.reference_files())
        for path, content in files.items()
        if path.endswith(".py")
        for name in _imported(content)
        if name.partition(".")[0] not in sys.stdlib_module_names | own
    }
    missing = {
        name
        for name in imported
        if not any(f"{known}.".startswith(f"{name}.") for known in PRELOAD)
    }
    assert not missing


def _imported(source: bytes) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found
