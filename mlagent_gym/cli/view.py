"""``mlagent view``: recordings as a page to look at."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from mlagent_gym.errors import UsageError
from mlagent_gym.viewing.page import MAX_STEPS, write_page
from mlagent_gym.viewing.serve import serve


def command(
    source: Annotated[
        Path,
        typer.Argument(help="A recording (.jsonl), or the folder of a training run or benchmark."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. Default: beside the input.")
    ] = None,
    serve_it: Annotated[
        bool, typer.Option("--serve", help="Serve it to this machine's browser; write nothing.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="For --serve; 0: any.")] = 0,
    max_steps: Annotated[
        int, typer.Option(min=1, help="Steps that the page holds; more make it slow.")
    ] = MAX_STEPS,
) -> None:
    r"""Show episodes as a page: every step with its diff, output, score and reward.

    The page is one HTML file that needs no network, so that it can be kept or sent.

    \b
      mlagent view episodes.jsonl
      mlagent view runs/cpu-tiny --serve
    """
    if not serve_it:
        print(f"Wrote {write_page(source, output, max_steps=max_steps)}")
        return
    if output is not None:
        raise UsageError("--serve writes no file; leave --output out.")
    with contextlib.suppress(KeyboardInterrupt):
        serve(source, port=port, max_steps=max_steps, on_start=_say)


def _say(address: str) -> None:
    print(f"Open {address} (Ctrl+C ends it)", flush=True)
