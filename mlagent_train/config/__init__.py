"""The configuration of a run: its schema, its presets, and how they are read."""

from mlagent_train.config.load import (
    config_from_dict,
    config_to_dict,
    load_config,
    preset_names,
)
from mlagent_train.config.schema import Config

__all__ = ["Config", "config_from_dict", "config_to_dict", "load_config", "preset_names"]
