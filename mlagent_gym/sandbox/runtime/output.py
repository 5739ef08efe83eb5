"""The beginning and the end of a stream of unknown length."""

from __future__ import annotations

__all__ = ["HeadAndTail"]


class HeadAndTail:
    """Keep the first and the last half of what was added, in bounded memory.

    Parameters
    ----------
    max_bytes
        How much is kept.
    """

    def __init__(self, max_bytes: int):
        self.total = 0
        """Bytes added so far."""
        self._half = max(max_bytes // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take the next piece of the stream."""
        self.total += len(chunk)
        room = self._half - len(self._head)
        self._head += chunk[:room] if room > 0 else b""
        self._tail += chunk[max(room, 0) :]
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def text(self) -> str:
        """Return what was kept as text; what was cut and what is no UTF-8 is marked."""
        tail = bytes(self._tail[-self._half :])
        cut = self.total - len(self._head) - len(tail)
        if cut <= 0:
            return (bytes(self._head) + tail).decode("utf-8", "backslashreplace")
        head_text = bytes(self._head).decode("utf-8", "backslashreplace")
        tail_text = tail.decode("utf-8", "backslashreplace")
        return f"{head_text}\n[... {cut} bytes of output cut ...]\n{tail_text}"
