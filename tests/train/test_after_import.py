"""mlagent_train.after_import on modules made for the purpose."""

import contextlib
import importlib
import sys

import pytest

from mlagent_train.after_import import after_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Name of a module that can be imported and is forgotten afterwards."""
    (tmp_path / "changed_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield "changed_module"
    sys.modules.pop("changed_module", None)


def double(module):
    module.value *= 2


def test_a_module_is_changed_when_it_is_imported(module):
    after_import({module: double})
    assert module not in sys.modules
    assert importlib.import_module(module).value == 2


def test_a_module_that_is_there_is_changed_at_once(module):
    found = importlib.import_module(module)
    after_import({module: double})
    assert found.value == 2


def test_a_module_is_executed_in_a_context(module):
    happened = []

    @contextlib.contextmanager
    def within():
        happened.append("begins")
        yield
        happened.append("ends")

    after_import({module: lambda _: happened.append("changed")}, within=within)
    assert not happened
    importlib.import_module(module)
    assert happened == ["begins", "ends", "changed"]


def test_two_changes_of_a_module_are_both_made(module):
    after_import({module: double})
    after_import({module: double})
    assert importlib.import_module(module).value == 4
