from __future__ import annotations

import errno
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mlagent_gym.download import fetch
from mlagent_gym.errors import DataMissingError, DiskFullError
from mlagent_gym.tasks import Download, RawFile, Task, load_task

CONTENT = b"not really an archive"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Address of a folder that a local server publishes."""
    published = tmp_path / "published"
    published.mkdir()
    (published / "raw.tar.gz").write_bytes(CONTENT)
    handler = partial(_Quiet, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _task(url: str, content: bytes = CONTENT) -> Task:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return replace(
        load_task("cifar10"),
        download=Download(url=url),
        raw=(RawFile("raw.tar.gz", md5=md5),),
    )


def test_a_published_file_is_downloaded_once(address: str, tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    task, into = _task(f"{address}/raw.tar.gz"), tmp_path / "raw"
    fetch(task, into)
    assert (into / "raw.tar.gz").read_bytes() == CONTENT
    modified = (into / "raw.tar.gz").stat().st_mtime_ns
    fetch(task, into)
    assert (into / "raw.tar.gz").stat().st_mtime_ns == modified


def test_a_file_with_another_checksum_is_not_kept(address: str, tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    with pytest.raises(DataMissingError, match="could not be downloaded"):
        fetch(_task(f"{address}/raw.tar.gz", b"other"), tmp_path / "raw")
    assert not list((tmp_path / "raw").iterdir())


def test_an_address_that_does_not_answer_is_named_with_another_way(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    with pytest.raises(DataMissingError, match="mlagent prepare cifar10 --raw FOLDER"):
        fetch(_task("http://127.0.0.1:9/raw.tar.gz"), tmp_path / "raw")


def test_what_kaggle_refuses_comes_with_what_a_person_has_to_do(tmp_path: Path) -> None:
    def refuse(task: Task, into: Path) -> None:
        raise OSError("403 Client Error: Forbidden")

    with pytest.raises(DataMissingError) as caught:
        fetch(load_task("spooky-author-identification"), tmp_path, client=refuse)
    message = str(caught.value)
    assert "403" in message and "/rules" in message and "KAGGLE_API_TOKEN" in message


def test_a_full_disk_is_told_from_a_refusal(tmp_path: Path) -> None:
    def full(task: Task, into: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError):
        fetch(load_task("cifar10"), tmp_path, client=full)
