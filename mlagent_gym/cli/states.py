"""``mlagent state``: saved states, pools and recordings, and the store beneath them."""

from __future__ import annotations

import json
from collections import Counter, deque
from pathlib import Path
from typing import Annotated

import typer

from mlagent_gym import data
from mlagent_gym.archive import blobs_of, export_states, import_states, read_states
from mlagent_gym.errors import StoreError, UsageError
from mlagent_gym.state import Exchange, State
from mlagent_gym.store import Store

__all__ = ["StoreOption", "app", "open_store"]

app = typer.Typer(help="Look at states, take them elsewhere, free the store.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A saved state, a pool or a recording.")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder of the store; default: in the cache.")
]


def open_store(path: Path | None) -> Store:
    """Return the store a command works on."""
    return Store(path or data.cache_root() / "store")


@app.command()
def show(
    file: File,
    store: StoreOption = None,
    cat: Annotated[str, typer.Option(metavar="PATH", help="Print this file of the state.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show the last state of a file, and how many states it holds."""
    counts: Counter[str] = Counter()
    last: deque[State] = deque(maxlen=1)
    for one in read_states(file):
        counts[one.task] += 1
        last.append(one)
    state, blobs = last[0], open_store(store)
    if cat:
        if cat not in state.files:
            raise UsageError(f"The state has no file {cat!r}; it has: {', '.join(state.files)}.")
        print(blobs.get(state.files[cat]).decode("utf-8", "replace"), end="")
        return
    report = {
        "states": dict(counts),
        "id": state.id,
        "task": state.task,
        "variant": state.variant,
        "fingerprint": state.fingerprint,
        "step": state.step,
        "score": state.score,
        "best_score": state.best_score,
        "final": state.final,
        "files": dict(state.files),
        "history": _history(state, blobs),
        "missing_blobs": sorted(digest for digest in state.blobs if digest not in blobs),
    }
    if as_json:
        print(json.dumps(report, indent=2))
        return
    for key, value in report.items():
        if isinstance(value, dict | list):
            print(f"{key}:")
            lines = value if isinstance(value, list) else [f"{k}: {v}" for k, v in value.items()]
            print("".join(f"  {line}\n" for line in lines) or "  none\n", end="")
        else:
            print(f"{key}: {value}")


@app.command("export")
def export_file(
    file: File,
    archive: Annotated[Path, typer.Argument(help="Archive to write, a .zip.")],
    store: StoreOption = None,
) -> None:
    """Write states and all that they need into one file."""
    export_states(file, archive, open_store(store))
    print(f"Wrote {archive} ({archive.stat().st_size / 1e6:.2f} MB)")


@app.command("import")
def import_file(
    archive: Annotated[Path, typer.Argument(help="Archive that `mlagent state export` wrote.")],
    folder: Annotated[Path, typer.Option("--to", help="Folder for the file of states.")] = Path(),
    store: StoreOption = None,
) -> None:
    """Bring exported states and all that they need in here."""
    print(f"Wrote {import_states(archive, folder, open_store(store))}")


@app.command()
def gc(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Saved states, pools and recordings to keep.")
    ] = None,
    store: StoreOption = None,
    older_than_h: Annotated[
        float, typer.Option("--older-than", min=0, help="Hours that everything is kept.")
    ] = 24.0,
    keep_nothing: Annotated[
        bool, typer.Option("--keep-nothing", help="There are no files to keep.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing.")] = False,
) -> None:
    """Delete from the store what none of some files needs.

    Other processes may go on writing meanwhile: whatever was written or used within the
    last hours stays.
    """
    if bool(files) == keep_nothing:
        raise UsageError("Name the files whose states are to be kept, or say --keep-nothing.")
    needed = set().union(*(blobs_of(file) for file in files or ()))
    freed = open_store(store).collect(needed, older_than_s=3600 * older_than_h, dry_run=dry_run)
    print(f"{'Would free' if dry_run else 'Freed'} {freed / 1e6:.2f} MB")


def _history(state: State, blobs: Store) -> list[str]:
    """Return the steps in one line each, as far as the store has them."""
    lines = []
    for number, digest in enumerate(state.history, start=1):
        try:
            summary = Exchange.from_json(blobs.get(digest)).summary
        except StoreError:
            summary = "(not in this store)"
        lines.append(f"{number}. {summary}")
    return lines
