"""Pages over HTTP, for the own machine only: made when asked for, so that none is stale."""

from __future__ import annotations

import http.server
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mlagent_gym.errors import MLAgentError, RecordError, UsageError
from mlagent_gym.viewing.page import MAX_STEPS, view_page

__all__ = ["serve"]


def serve(
    source: Path,
    *,
    port: int = 0,
    max_steps: int = MAX_STEPS,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve the page of `source` on the loopback interface until interrupted.

    ``/?file=<path below a folder>`` is the page of one file of it.

    Parameters
    ----------
    source
        As for `write_page`.
    port
        Port to listen on; 0: any that is free.
    max_steps
        As for `write_page`.
    on_start
        Called with the address once it can be opened.

    Raises
    ------
    UsageError
        There is no such file or folder, or the port is taken.
    """
    root = source.resolve()
    if not root.exists():
        raise UsageError(f"There is no {source}. Give a recording or a folder with some.")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0]
            url = urlsplit(self.path)
            if host not in ("127.0.0.1", "localhost"):  # another site's name for this machine
                self._answer(403, "Open the page by the address that was printed.")
            elif url.path != "/":
                self._answer(404, "There is nothing here.")
            else:
                self._page(parse_qs(url.query).get("file", [""])[0])

        def _page(self, name: str) -> None:
            chosen = (root / name).resolve() if name else root
            if not chosen.is_relative_to(root) or (name and chosen.suffix != ".jsonl"):
                self._answer(404, "There is no such recording.")
                return
            try:
                self._answer(200, view_page(chosen, max_steps=max_steps), "text/html")
            except (RecordError, UsageError) as error:
                self._answer(404, str(error))
            except MLAgentError as error:
                self._answer(500, str(error))

        def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing: the terminal shows the address only."""

    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UsageError(
            f"Port {port} cannot be used: {error.strerror}. Choose another with --port, or 0."
        ) from error
    with server:
        if on_start is not None:
            on_start(f"http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever()
