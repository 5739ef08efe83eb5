"""From a preset or a file and ``--set a.b=c`` overrides to one checked `Config`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlagent_train.config.schema import Config
from mlagent_train.errors import ConfigError

__all__ = ["config_from_dict", "config_to_dict", "load_config", "preset_names"]

_PRESETS = Path(__file__).parent / "presets"


def preset_names() -> tuple[str, ...]:
    """Return the names that ``--config`` knows."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.toml")))


def load_config(source: str, overrides: Iterable[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    source
        Name of a preset, or path of a TOML or YAML file. Its key ``base`` may name the
        preset or file that it changes.
    overrides
        ``section.key=value`` strings, applied last; values are read as TOML, anything
        that is no TOML value as text.

    Raises
    ------
    ConfigError
        A file, key or value that cannot be used; the nearest known name is offered.
    """
    table = _read(source, seen=())
    for override in overrides:
        _apply(table, override)
    return config_from_dict(table, source)


def config_from_dict(table: Mapping[str, Any], source: str = "configuration") -> Config:
    """Check a nested table and return it as a `Config`.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    from pydantic import TypeAdapter, ValidationError

    _refuse_unknown(Config, table, "", source)
    try:
        return TypeAdapter(Config).validate_python(table)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}, got {item['input']!r}"
            for item in error.errors(include_url=False)
        )
        raise ConfigError(f"{source}: {wrong}.") from error


def config_to_dict(config: Config) -> dict[str, Any]:
    """Return the whole configuration, defaults included, as plain JSON values."""
    plain: dict[str, Any] = _plain(config)
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _read(source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if source in seen:
        raise ConfigError(f"{' -> '.join((*seen, source))}: a base must not lead back to itself.")
    table = _parse(_find(source))
    if base := table.pop("base", None):
        table = _merged(_read(str(base), (*seen, source)), table)
    return table


def _find(source: str) -> Path:
    if (preset := _PRESETS / f"{source}.toml").is_file():
        return preset
    if (path := Path(source)).is_file():
        return path
    near = difflib.get_close_matches(source, preset_names(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"{source!r} is neither a file nor a preset ({', '.join(preset_names())}).{hint}"
    )


def _parse(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix in {".yaml", ".yml"}:
            import yaml

            return dict(yaml.safe_load(text) or {})
        if path.suffix == ".json":
            return dict(json.loads(text))
        return tomllib.loads(text)
    except (ValueError, TypeError) as error:  # both parsers' errors are ValueErrors
        raise ConfigError(
            f"{path} cannot be read: {error}. Give a TOML or YAML file that is there."
        ) from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(
                f"{path} cannot be read: {error}. Give a TOML or YAML file that is there."
            ) from error
        raise


def _merged(base: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _apply(table: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = _split(path.strip())
    if not equals or not all(keys):
        raise ConfigError(
            f"--set {override!r}: write section.key=value, as in --set ppo.updates=20."
        )
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(
                f"--set {override!r}: {key!r} is a value, not a section. Write section.key=value."
            )
    table[keys[-1]] = _value(text.strip())


def _split(path: str) -> list[str]:
    """Split at dots; OpenRLHF's own dotted names below ``openrlhf.<command>`` stay whole."""
    keys = path.split(".")
    return [*keys[:2], ".".join(keys[2:])] if keys[0] == "openrlhf" and len(keys) > 3 else keys


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _refuse_unknown(cls: Any, table: Mapping[str, Any], where: str, source: str) -> None:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    for key, value in table.items():
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
            hint = f"did you mean {where}{near[0]}?" if near else f"known: {', '.join(names)}."
            raise ConfigError(f"{source}: there is no key {where}{key}; {hint}")
        if dataclasses.is_dataclass(hints[key]) and isinstance(value, Mapping):
            _refuse_unknown(hints[key], value, f"{where}{key}.", source)
