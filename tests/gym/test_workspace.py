"""Nothing an agent leaves in its folder leads us outside, blocks us or comes back wrong."""

import contextlib
import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlagent_gym.errors import WorkspaceError
from mlagent_gym.store import Store
from mlagent_gym.workspace import Workspace

OUTSIDE = [
    "/etc/passwd",
    "..",
    "../secret.txt",
    "a/../../secret.txt",
    "../input/../secret.txt",
    "../inputs/x",
    "./.././secret.txt",
    "a\x00b",
    "a\nb",
    "a\\b",
    "x" * 201,
    "/".join("d" * 20),
]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_text("id\n1\n")
    (tmp_path / "secret.txt").write_text("answers")
    return folder


@pytest.fixture
def workspace(data, tmp_path):
    workspace = Workspace(data, tmp_path)
    yield workspace
    workspace.close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_outside(workspace, path):
    for use in (
        workspace.read,
        workspace.entries,
        workspace.exists,
        workspace.remove,
        lambda p: workspace.write(p, b"x"),
        lambda p: workspace.take(p, 10),
    ):
        with pytest.raises(WorkspaceError):
            use(path)


def test_data_can_be_read_and_listed_but_not_written(workspace):
    assert workspace.read("../input/train.csv") == b"id\n1\n"
    assert [entry.name for entry in workspace.entries("../input")] == ["train.csv"]
    with pytest.raises(WorkspaceError):
        workspace.write("../input/train.csv", b"")
    assert (workspace.path / "../input/train.csv").read_text() == "id\n1\n"


def plant_link(path, secret):
    path.symlink_to(secret)


def plant_hard_link(path, secret):
    os.link(secret, path)


def plant_fifo(path, secret):
    os.mkfifo(path)


def plant_socket(path, secret):
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)  # a socket's path may be no longer than 107 bytes


def plant_folder(path, secret):
    path.mkdir()


PLANTED = [plant_link, plant_hard_link, plant_fifo, plant_socket, plant_folder]


@pytest.mark.parametrize("plant", PLANTED)
def test_what_is_not_a_plain_file_is_not_read_or_written_through(workspace, tmp_path, plant):
    secret = tmp_path / "secret.txt"
    plant(workspace.path / "submission.csv", secret)
    with pytest.raises(WorkspaceError):
        workspace.read("submission.csv")
    if plant is not plant_hard_link:  # writing replaces the name, never the content
        with pytest.raises(WorkspaceError):
            workspace.write("submission.csv", b"mine")
    with pytest.raises(WorkspaceError):
        workspace.take("submission.csv", 1000)
    assert not workspace.exists("submission.csv")
    assert secret.read_text() == "answers"


def test_a_folder_swapped_for_a_link_is_not_entered(workspace, tmp_path):
    (workspace.path / "d").symlink_to(tmp_path)
    for use in (workspace.read, workspace.remove, lambda p: workspace.write(p, b"x")):
        with pytest.raises(WorkspaceError):
            use("d/secret.txt")
    assert (tmp_path / "secret.txt").read_text() == "answers"


def test_reads_are_bounded(workspace):
    workspace.write("big", b"x" * 100)
    with pytest.raises(WorkspaceError, match="larger than 99 bytes"):
        workspace.read("big", 99)
    os.truncate(workspace.path / "big", 2**40)
    with pytest.raises(WorkspaceError, match="larger"):
        workspace.take("big", 2**20)


def test_a_snapshot_sweeps_what_cannot_be_kept(workspace, store, tmp_path):
    workspace.write("train.py", b"print()")
    for number, plant in enumerate(PLANTED[:4]):
        plant(workspace.path / f"planted{number}", tmp_path / "secret.txt")
    (workspace.path / os.fsdecode(b"\xff\n")).write_text("odd")
    (workspace.path / "__pycache__").mkdir()
    (workspace.path / "__pycache__" / "evil.pyc").write_text("")
    assert list(workspace.snapshot(store.put)) == ["train.py"]
    assert os.listdir(workspace.path) == ["train.py"]  # noqa: PTH208 - undecodable names too
    assert (tmp_path / "secret.txt").read_text() == "answers"


def test_a_very_deep_tree_and_closed_folders_are_removed(workspace, store):
    descriptor = os.open(workspace.path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=descriptor)
        below = os.open("deep", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    closed = workspace.path / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    (closed / "file").chmod(0)
    closed.chmod(0)
    assert workspace.snapshot(store.put).keys() == {"closed/file"}
    workspace.restore({}, store.get)
    assert not workspace.snapshot(store.put)
    workspace.close()
    assert not workspace.path.exists()


def test_too_many_files_or_bytes_are_refused(data, tmp_path, store):
    workspace = Workspace(data, tmp_path, max_files=3, max_mb=1)
    for number in range(4):
        workspace.write(str(number), b"")
    with pytest.raises(WorkspaceError, match="4 files"):
        workspace.snapshot(store.put)
    workspace.restore({}, store.get)
    workspace.write("big", bytes(2**20 + 1))
    with pytest.raises(WorkspaceError, match="at most 3 files and 1 MB"):
        workspace.snapshot(store.put)
    workspace.close()


def test_an_unchanged_file_is_not_read_again_but_a_disguised_change_is(workspace, store):
    workspace.write("a", b"one")
    workspace.write("b", b"two")
    first = workspace.snapshot(store.put)
    kept = []
    status = (workspace.path / "a").stat()
    (workspace.path / "a").write_bytes(b"uno")  # same size, and the old times put back
    os.utime(workspace.path / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    second = workspace.snapshot(lambda content: kept.append(content) or store.put(content))
    assert kept == [b"uno"]
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


names = st.text("abc", min_size=1, max_size=2)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=9), max_size=6
).filter(lambda tree: not any(other.startswith(path + "/") for path in tree for other in tree))


@settings(max_examples=40)
@given(before=trees, after=trees)
def test_restore_after_snapshot_is_identity(tmp_path_factory, before, after):
    folder = tmp_path_factory.mktemp("restore")
    store = Store(folder / "store")
    workspace = Workspace(folder, folder)
    _write(workspace, before, store)
    saved = workspace.snapshot(store.put)
    _write(workspace, after, store)
    workspace.restore(saved, store.get)
    assert {path: workspace.read(path) for path in saved} == before
    assert workspace.snapshot(store.put) == saved
    workspace.close()


def _write(workspace, tree, store):
    workspace.restore({}, store.get)
    for path, content in tree.items():
        workspace.write(path, content)


@pytest.mark.parametrize(
    "paths",
    [["../a"], ["/a"], ["a//b"], ["./a"], ["a/"], [""], ["a", "a/b"], ["a/b", "a"], ["a\n"]],
)
def test_files_that_no_folder_can_hold_are_refused(workspace, store, paths):
    digest = store.put(b"x")
    with pytest.raises(WorkspaceError):
        workspace.restore(dict.fromkeys(paths, digest), store.get)
    workspace.restore({"a/b": digest}, store.get)
    assert workspace.snapshot(store.put) == {"a/b": digest}
