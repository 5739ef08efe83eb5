"""mlagent_train.config: presets, files, overrides, refusals."""

import dataclasses

import pytest

from mlagent_train.config import config_from_dict, config_to_dict, load_config, preset_names
from mlagent_train.errors import ConfigError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_being_written_and_read(name):
    config = load_config(name)
    assert config.name == name
    assert config_from_dict(config_to_dict(config)) == config


def test_an_override_changes_one_key_and_nothing_else():
    before, after = load_config("cpu-tiny"), load_config("cpu-tiny", ["ppo.updates=7"])
    assert after.ppo.updates == 7
    assert dataclasses.replace(after, ppo=before.ppo) == before


def test_overrides_are_read_as_toml_and_else_as_text():
    config = load_config(
        "cpu-tiny", ['tasks.held_in=["cifar10"]', "tasks.variant=real", "collect.ideas=[2, 2]"]
    )
    assert config.tasks.held_in == ("cifar10",)
    assert config.tasks.variant == "real"
    assert config.collect.ideas == (2, 2)


def test_a_file_may_build_on_a_preset(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "cpu-tiny"\nname = "mine"\n[ppo]\nupdates = 3\n')
    (tmp_path / "mine.yaml").write_text("base: cpu-tiny\nname: mine\nppo: {updates: 3}\n")
    by_toml = load_config(str(tmp_path / "mine.toml"))
    assert by_toml == load_config(str(tmp_path / "mine.yaml"))
    assert by_toml.ppo.updates == 3
    assert by_toml.model == load_config("cpu-tiny").model


@pytest.mark.parametrize(
    ("source", "override", "message"),
    [
        ("cpu-tny", "", "Did you mean 'cpu-tiny'"),
        ("cpu-tiny", "ppo.update=3", "did you mean ppo.updates"),
        ("cpu-tiny", "pppo.updates=3", "did you mean ppo"),
        ("cpu-tiny", "ppo.updates=0", "ppo.updates: input should be greater than 0"),
        ("cpu-tiny", "ppo.updates=many", "ppo.updates"),
        ("cpu-tiny", "ppo.updates", "section.key=value"),
        ("cpu-tiny", "name.first=x", "is a value, not a section"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_write_instead(source, override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(source, [override] if override else [])


def test_a_base_that_leads_back_is_refused(tmp_path):
    path = tmp_path / "loop.toml"
    path.write_text(f'base = "{path}"\nname = "loop"\n')
    with pytest.raises(ConfigError, match="lead back"):
        load_config(str(path))


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    (tmp_path / "bad.toml").write_text("name = [")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path / "bad.toml"))
