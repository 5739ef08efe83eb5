"""The options OpenRLHF's commands really have, read from their source without importing it."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlagent_train.errors import ConfigError, TrainerVersionError

__all__ = ["PPO_COMMAND", "SFT_COMMAND", "Option", "check_options", "read_options", "to_argv"]

PPO_COMMAND = "openrlhf.cli.train_ppo_ray"
SFT_COMMAND = "openrlhf.cli.train_sft"

Value = str | int | float | bool | None | tuple[str | int | float, ...]
"""What an option is set to: True is a bare flag, False and None leave it out."""

_KINDS = {"str": (str,), "int": (int,), "float": (int, float)}


@dataclass(frozen=True)
class Option:
    """One ``add_argument`` of a command."""

    name: str
    """Without the leading dashes."""
    kind: str
    """``str``, ``int``, ``float`` or ``flag``."""
    nargs: int | str | None = None
    choices: tuple[object, ...] = ()


@functools.cache
def read_options(command: str) -> Mapping[str, Option]:
    """Return the options of an OpenRLHF command by name.

    Raises
    ------
    TrainerVersionError
        OpenRLHF is not installed.
    """
    tree = ast.parse(_source(command).read_text(encoding="utf-8"))
    return {option.name: option for option in _options(tree, {})}


def check_options(command: str, values: Mapping[str, Value]) -> None:
    """Check names, types and choices of options against the installed command.

    Raises
    ------
    ConfigError
        An option does not exist (the nearest one is named) or takes another kind of value.
    """
    known = read_options(command)
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            version = importlib.metadata.version("openrlhf")
            raise ConfigError(f"{command} of OpenRLHF {version} has no option --{name}.{hint}")
        if value is not None and value is not False:
            _check_value(known[name], value)


def to_argv(values: Mapping[str, Value]) -> list[str]:
    """Return options as command-line arguments, in the given order."""
    argv: list[str] = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        argv.append(f"--{name}")
        if value is not True:
            argv += [str(item) for item in (value if isinstance(value, tuple) else (value,))]
    return argv


def _check_value(option: Option, value: Value) -> None:
    items = value if isinstance(value, tuple) else (value,)
    if option.kind == "flag":
        wrong = None if value is True else "is a flag: set it to true or leave it out"
    elif value is True:
        wrong = f"needs a value ({option.kind})"
    elif isinstance(option.nargs, int) and len(items) != option.nargs:
        wrong = f"takes {option.nargs} values"
    elif option.nargs is None and len(items) != 1:
        wrong = "takes one value"
    elif not all(isinstance(item, _KINDS[option.kind]) for item in items):
        wrong = f"takes {option.kind}"
    elif option.choices and not set(items) <= set(option.choices):
        wrong = f"is one of {', '.join(map(str, option.choices))}"
    else:
        wrong = None
    if wrong:
        raise ConfigError(f"OpenRLHF's --{option.name} {wrong}; got {value!r}.")


def _source(command: str) -> Path:
    package = importlib.util.find_spec("openrlhf")
    if package is None or not package.submodule_search_locations:
        raise TrainerVersionError(
            "OpenRLHF is not installed; see requirements/README.md for the two-line install."
        )
    relative = Path(*command.split(".")[1:]).with_suffix(".py")
    return Path(next(iter(package.submodule_search_locations))) / relative


def _options(tree: ast.AST, bound: Mapping[str, str]) -> Iterator[Option]:
    """Walk in source order, unrolling ``for prefix in (...)`` loops over constants."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            assert isinstance(node.target, ast.Name)
            for item in node.iter.elts:
                assert isinstance(item, ast.Constant)
                for statement in node.body:
                    yield from _options(statement, {**bound, node.target.id: str(item.value)})
        elif isinstance(node, ast.Call) and _is_add_argument(node):
            yield _option(node, bound)
        else:
            yield from _options(node, bound)
    if isinstance(tree, ast.Call) and _is_add_argument(tree):
        yield _option(tree, bound)


def _is_add_argument(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"


def _option(node: ast.Call, bound: Mapping[str, str]) -> Option:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    kind = keywords.get("type")
    nargs, choices = keywords.get("nargs"), keywords.get("choices")
    return Option(
        name=_text(node.args[0], bound).removeprefix("--"),
        kind="flag" if "action" in keywords else kind.id if isinstance(kind, ast.Name) else "str",
        nargs=nargs.value if isinstance(nargs, ast.Constant) else None,  # type: ignore[arg-type]
        choices=tuple(ast.literal_eval(choices)) if choices is not None else (),
    )


def _text(node: ast.AST, bound: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr), ast.dump(node)
    return "".join(
        bound[part.value.id]
        if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name)
        else _text(part, bound)
        for part in node.values
    )
