"""Why a job ended, out of a log that many processes wrote into."""

from __future__ import annotations

import re

__all__ = ["last_words"]

_LINES, _WIDTH = 15, 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PROGRESS = re.compile(r"\d+%\|")
_ERROR = re.compile(r"^(?:\(.*?\) )?[\w.]*(?:Error|Exception|Interrupt)\b")


def last_words(log: str) -> list[str]:
    """Return the lines to show when a job has failed.

    Processes of a cluster go on writing after the one that failed has said why, so the last
    error counts, with what follows it; without one, the end of the log. Progress bars are
    left out.
    """
    lines = [_COLOUR.sub("", line).rstrip() for line in re.split(r"[\r\n]+", log)]
    lines = [line for line in lines if line and not _PROGRESS.search(line)]
    errors = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    shown = lines[errors[-1] :][:_LINES] if errors else lines[-_LINES:]
    return [line[:_WIDTH] for line in shown]
