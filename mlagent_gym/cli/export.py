"""``mlagent export``: a recorded episode as a notebook, a script or chats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from mlagent_gym.cli.states import StoreOption
from mlagent_gym.errors import RecordError
from mlagent_gym.exporting import best_of, chats, episode_of, notebook, store_of
from mlagent_gym.store import Store

_SUFFIX = {"notebook": ".ipynb", "script": ".py", "sft": ".sft.jsonl"}


def command(
    file: Annotated[Path, typer.Argument(metavar="RECORDING", help="A recording (.jsonl).")],
    to: Annotated[
        Literal["notebook", "script", "sft"],
        typer.Option(
            help="notebook: the episode's story, and its best script to run again; script: the "
            "best script; sft: every step as a chat, for fine-tuning."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file. Default: beside the recording.")
    ] = None,
    episode: Annotated[
        str, typer.Option(help="How its name begins. Default: the one with the best score.")
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Public data that the notebook runs on. Default: those prepared here."),
    ] = None,
    valid_only: Annotated[
        bool, typer.Option("--valid-only", help="For sft: leave out invalid actions.")
    ] = False,
    store: StoreOption = None,
) -> None:
    r"""Take a recorded episode elsewhere.

    \b
      mlagent export episodes.jsonl --to notebook
      mlagent export runs/cpu-tiny/collect/trajectories/cifar10-00005.jsonl --to script
      mlagent export episodes.jsonl --to sft -o chats.jsonl
    """
    blobs = Store(store) if store else store_of(file)
    target = output or file.with_suffix(_SUFFIX[to])
    if to == "sft":
        lines = (json.dumps(chat) + "\n" for chat in chats(file, blobs, valid_only=valid_only))
        count = _write(target, lines)
        print(f"Wrote {target} ({count} examples)")
        return
    records = episode_of(file, episode)
    best = best_of(records, blobs)
    if to == "script":
        _write(target, [best.text])
    else:
        book = notebook(records, best, data=data.resolve() if data else None)
        _write(target, [json.dumps(book, indent=1, ensure_ascii=True) + "\n"])
    print(f"Wrote {target} (best score {'none' if best.score is None else f'{best.score:.6g}'})")


def _write(target: Path, parts: Iterator[str] | list[str]) -> int:
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            return sum(bool(file.write(part)) for part in parts)
    except OSError as error:
        raise RecordError(
            f"{target} cannot be written: {error.strerror}. Choose another with --output."
        ) from error
