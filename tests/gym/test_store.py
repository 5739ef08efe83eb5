"""The store gives back exactly what was put in, or says that it cannot."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.errors import BlobCorruptError, BlobMissingError, StoreError
from mlagent_gym.store import Staging, Store, digest_of


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@given(content=st.binary())
def test_what_is_put_comes_back(shared_store, content):
    digest = shared_store.put(content)
    assert digest == digest_of(content)
    assert digest in shared_store
    assert shared_store.get(digest) == content


def test_a_missing_blob_says_what_to_do(tmp_path):
    with pytest.raises(BlobMissingError, match="use that store"):
        Store(tmp_path).get("0" * 64)


@pytest.mark.parametrize("damage", [b"", b"contenT", b"content and more"])
def test_a_damaged_blob_is_an_error_and_never_returned(tmp_path, damage):
    store = Store(tmp_path)
    digest = store.put(b"content")
    path = tmp_path / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(damage)
    with pytest.raises(BlobCorruptError, match="damaged"):
        store.get(digest)


def test_a_blob_cut_short_by_a_crash_is_written_again(tmp_path):
    store = Store(tmp_path)
    digest = store.put(b"content")
    path = tmp_path / digest[:2] / digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"con")
    Store(tmp_path).put(b"content")
    assert store.get(digest) == b"content"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "ab", "Z" * 64])
def test_what_is_no_digest_is_refused(tmp_path, name):
    with pytest.raises(StoreError, match="not a digest"):
        Store(tmp_path).get(name)


def test_a_stored_blob_cannot_be_written_by_accident(tmp_path):
    digest = Store(tmp_path).put(b"content")
    assert (tmp_path / digest[:2] / digest[2:]).stat().st_mode & 0o222 == 0


PUT_ALL = """
import sys
import time
from mlagent_gym.store import Store
store = Store(sys.argv[1])
for number in range(200):
    store.put(b"%d" % number)
"""


def test_many_writers_share_one_store(tmp_path):
    command = [sys.executable, "-c", PUT_ALL, str(tmp_path)]
    writers = [subprocess.Popen(command) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sorted(Store(tmp_path)) == sorted(digest_of(b"%d" % number) for number in range(200))


def test_staged_blobs_reach_the_store_only_when_committed(tmp_path):
    store = Store(tmp_path / "store")
    staging = Staging(store, inline_bytes=10)
    small, other, large = staging.put(b"small"), staging.put(b"other"), staging.put(b"l" * 11)
    forgotten = staging.put(b"f" * 11)
    assert not store.root.exists()
    assert staging.get(small) == b"small"
    assert staging.get(large) == b"l" * 11
    staging.commit([small, large])
    assert store.get(small) == b"small"
    assert store.get(large) == staging.get(large) == b"l" * 11
    assert other not in store
    assert forgotten not in store
    staging.clear()
    assert staging.get(small) == b"small"
    for gone in (other, forgotten):
        with pytest.raises(BlobMissingError):
            staging.get(gone)
    assert staging.get(staging.put(b"again, large")) == b"again, large"


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """Return the folder below which large contents wait."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_was_staged_leaves_nothing_behind(waiting):
    staging = Staging(Store(waiting / "store"), inline_bytes=10)
    for content in (b"a" * 11, b"b" * 11):
        staging.put(content)
        assert len(list(waiting.glob("mlagent-staged-*/??/*"))) == 1
        staging.clear()
        assert list(waiting.iterdir()) == []
    staging.put(b"c" * 11)
    del staging
    assert list(waiting.iterdir()) == []


def test_a_large_blob_is_whole_and_young_in_the_store_it_is_moved_to(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    moved, torn, known = (there.put(content) for content in (b"moved", b"torn", b"known"))
    age(there)
    here.put(b"known")
    path = here.root / torn[:2] / torn[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"to")
    for digest in (moved, torn, known):
        here.take_over(digest, there)
        assert digest not in there
    here.collect((), older_than_s=3600)
    assert {here.get(digest) for digest in here} == {b"moved", b"torn", b"known"}
    with pytest.raises(BlobMissingError):
        here.take_over("0" * 64, there)


def test_a_blob_of_another_disk_is_copied(tmp_path, monkeypatch):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    digest = there.put(b"moved")
    rename = Path.replace

    def within_a_disk(self, target):
        if self.is_relative_to(there.root):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", within_a_disk)
    here.take_over(digest, there)
    here.sync()
    assert here.get(digest) == b"moved"
    assert digest not in there


operations = st.lists(
    st.tuples(st.sampled_from(["put", "commit", "clear"]), st.binary(min_size=1, max_size=20))
)


@given(operations)
def test_staging_gives_back_what_was_put_or_committed_since(tmp_path_factory, steps):
    store = Store(tmp_path_factory.mktemp("store") / "store")
    staging = Staging(store, inline_bytes=10)
    staged, committed = {}, {}
    for step, content in steps:
        digest = digest_of(content)
        if step == "put":
            assert staging.put(content) == digest
            staged[digest] = content
        elif step == "clear":
            staging.clear()
            staged.clear()
        elif digest in staged:
            staging.commit([digest])
            committed[digest] = content
        assert set(store) == set(committed)
        for one, expected in {**staged, **committed}.items():
            assert staging.get(one) == expected
    staging.clear()


def age(store, hours=48.0):
    for path in store.root.glob("??/*"):
        os.utime(path, (time.time() - 3600 * hours,) * 2)


def test_collecting_keeps_what_is_needed_and_what_is_young(tmp_path):
    store = Store(tmp_path)
    needed, old, torn = store.put(b"needed"), store.put(b"old!"), store.put(b"torn")
    (store.root / torn[:2] / ".new-torn").write_bytes(b"xx")
    age(store)
    young = store.put(b"young")
    assert store.put(b"torn") == torn  # putting again makes young again
    assert store.collect({needed}, older_than_s=3600, dry_run=True) == 6
    assert old in store
    assert store.collect({needed}, older_than_s=3600) == 6
    assert set(store) == {needed, young, torn}
    assert store.collect((), older_than_s=1e6) == 0


def test_what_is_read_is_young_again(tmp_path):
    store = Store(tmp_path)
    read, young, gone = store.put(b"read"), store.put(b"young"), store.put(b"gone")
    age(store)
    os.utime(tmp_path / young[:2] / young[2:], (time.time() - 600,) * 2)
    before = (tmp_path / young[:2] / young[2:]).stat().st_mtime
    assert [store.get(digest) for digest in (read, young)] == [b"read", b"young"]
    assert (tmp_path / young[:2] / young[2:]).stat().st_mtime == before  # it is young enough
    store.collect((), older_than_s=86400)
    assert set(store) == {read, young}
    with pytest.raises(BlobMissingError):
        store.get(gone)


def test_a_state_that_goes_on_keeps_its_blobs(tmp_path):
    store = Store(tmp_path)
    kept, gone = store.put(b"kept"), store.put(b"gone")
    age(store)
    Staging(store).commit([kept])
    store.collect((), older_than_s=3600)
    assert set(store) == {kept}
    with pytest.raises(BlobMissingError):
        Staging(store).commit([gone])


PUT_OFTEN = """
import sys
import time
from mlagent_gym.store import Store
for _ in range(10):
    for number in range(50):
        Store(sys.argv[1]).put(b"%d" % number)
"""


def test_collecting_takes_nothing_from_writers(tmp_path):
    store = Store(tmp_path)
    for number in range(50):
        store.put(b"%d" % number)
    age(store)
    command = [sys.executable, "-c", PUT_OFTEN, str(tmp_path)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        store.collect((), older_than_s=3600)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(store) == sorted(digest_of(b"%d" % number) for number in range(50))


KILLED = """
import os, signal, sys, threading
from mlagent_gym.store import Store
store = Store(sys.argv[1])
threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL)).start()
number = 0
while True:
    store.put(b"%d" % number * 1000)
    number += 1
"""


def test_a_writer_killed_at_any_moment_leaves_whole_blobs(tmp_path):
    for delay in ("0.005", "0.01", "0.02"):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), delay], check=False)
    store = Store(tmp_path)
    assert all(store.get(digest) for digest in store)
    assert len(set(store)) > 3
