"""The store gives back exactly what was put in, or says that it cannot."""

import os
import subprocess
import sys
import time

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
    assert small not in store
    assert large in store
    assert staging.get(small) == b"small"
    staging.commit([small])
    assert store.get(small) == b"small"
    assert other not in store
    staging.clear()
    assert staging.get(small) == b"small"
    with pytest.raises(BlobMissingError):
        staging.get(other)


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
