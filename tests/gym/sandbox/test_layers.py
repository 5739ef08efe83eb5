"""What is said about the machine's means to confine."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlagent_gym.sandbox import layers
from mlagent_gym.sandbox.layers import Presence
from mlagent_gym.sandbox.levels import LEVELS


def test_every_layer_is_named_with_what_it_means() -> None:
    found = layers.layers()
    names = " ".join(layer.name for layer in found)
    for means in ("namespaces", "Landlock", "seccomp", "limits", "cgroup v2", "bubblewrap"):
        assert means in names
    assert {"docker", "podman"} <= {layer.name for layer in found}
    assert all(layer.meaning for layer in found)
    assert not [layer for layer in found if layer.remedy and layer.presence is not Presence.MISSING]
    levels = found[: len(LEVELS)]
    assert [layer.presence for layer in levels].count(Presence.ACTIVE) == 1


def test_without_any_level_nothing_is_active_and_the_levels_have_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers, "trouble_with", lambda level: f"log\nno {level} here")
    found = layers.layers()
    assert not [layer for layer in found if layer.presence is Presence.ACTIVE]
    for layer, level in zip(found, LEVELS, strict=False):
        assert layer.meaning == f"no {level.name} here"
        assert layer.remedy == level.remedy


def test_the_second_level_is_active_where_the_first_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "trouble_with", lambda level: "no" if level == "ns" else "")
    found = {layer.name: layer for layer in layers.layers()}
    assert found["level ns"].presence is Presence.MISSING
    assert found["level landlock"].presence is Presence.ACTIVE
    assert found["namespaces"].presence is Presence.MISSING
    assert "can be seen" in found["namespaces"].meaning
    assert found["seccomp"].presence is Presence.ACTIVE


@pytest.mark.parametrize(
    ("controllers", "used", "presence"),
    [
        ("cpu memory pids", "ns", Presence.ACTIVE),
        ("cpu memory pids", "", Presence.AVAILABLE),
        ("hugetlb", "ns", Presence.MISSING),
    ],
)
def test_a_control_group_counts_if_it_can_limit_memory_and_processes(
    controllers: str, used: str, presence: Presence, tmp_path: Path
) -> None:
    group = tmp_path / "sys/fs/cgroup/user/ours"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("3:pids:/elsewhere\n0::/user/ours\n")
    (group / "cgroup.controllers").write_text(controllers)
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (group / name).touch()
    layer = layers._cgroup(tmp_path, used)
    assert layer.presence is presence
    assert bool(layer.remedy) == (presence is Presence.MISSING)


def test_without_control_groups_there_is_none(tmp_path: Path) -> None:
    assert layers._cgroup(tmp_path, "ns").presence is Presence.MISSING
