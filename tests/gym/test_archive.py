"""States and their blobs travel as one file, and only the whole ones arrive."""

import tempfile
import zipfile
from pathlib import Path

import pytest

from mlagent_gym.archive import blobs_of, export_states, import_states, read_states
from mlagent_gym.errors import BlobCorruptError, BlobMissingError, StateCorruptError
from mlagent_gym.pool import build_pool
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.store import Store

from .conftest import quality


@pytest.fixture
def folder(make_env, tmp_path):
    """Return a folder with a state, a recording, a pool and their store."""
    env = RecordEpisode(make_env(), tmp_path / "episodes.jsonl")
    env.reset(seed=0)
    for value in (0.5, 0.6):
        env.step(quality(value))
    env.unwrapped.state().save(tmp_path / "state.json")
    build_pool([tmp_path / "episodes.jsonl"], tmp_path / "pool.jsonl")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "count"), [("state.json", 1), ("episodes.jsonl", 4), ("pool.jsonl", 2)]
)
def test_every_file_of_states_can_be_read_and_taken_elsewhere(folder, make_env, name, count):
    states = list(read_states(folder / name))
    assert len(states) == count
    export_states(folder / name, folder / "out.zip", Store(folder / "store"))
    there = folder / "elsewhere"
    there.mkdir()
    imported = import_states(folder / "out.zip", there, Store(there / "store"))
    assert imported == there / name
    assert list(read_states(imported)) == states
    assert set(Store(there / "store")) == blobs_of(folder / name)
    _, info = make_env(store=there / "store").reset(options={"state": states[-1]})
    assert info["state_id"] == states[-1].id
    with pytest.raises(StateCorruptError, match="cannot be written"):
        import_states(folder / "out.zip", there, Store(there / "store"))


def test_submissions_belong_to_a_recording(folder):
    assert blobs_of(folder / "episodes.jsonl") > blobs_of(folder / "state.json")


def test_an_incomplete_export_leaves_no_file(folder):
    with pytest.raises(BlobMissingError):
        export_states(folder / "state.json", folder / "out.zip", Store(folder / "empty"))
    assert not list(folder.glob("*out.zip*"))


def test_a_damaged_archive_is_refused(folder):
    export_states(folder / "state.json", folder / "out.zip", Store(folder / "store"))
    with zipfile.ZipFile(folder / "out.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    blob = next(name for name in members if name.startswith("blobs/"))

    def refused(members, error):
        with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        there = Path(tempfile.mkdtemp(dir=folder))
        with pytest.raises(error):
            import_states(folder / "bad.zip", there, Store(there / "store"))
        assert {path.name for path in there.iterdir()} <= {"store"}

    refused(members | {blob: b"forged"}, BlobCorruptError)
    refused(members | {"blobs/../../evil": b"x"}, BlobCorruptError)
    refused({name: content for name, content in members.items() if name != blob}, BlobMissingError)
    refused({blob: members[blob]}, StateCorruptError)
    (folder / "bad.zip").write_bytes((folder / "out.zip").read_bytes()[:-40])
    with pytest.raises(StateCorruptError, match="not an archive"):
        import_states(folder / "bad.zip", folder / "bad", Store(folder / "bad" / "store"))


@pytest.mark.parametrize("content", ["", "no", "[]\n", '{"state": 1}\n', '{"x": 1}\n'])
def test_what_holds_no_states_says_so(tmp_path, content):
    (tmp_path / "file").write_text(content)
    with pytest.raises(StateCorruptError):
        list(read_states(tmp_path / "file"))


def test_a_torn_last_line_is_left_out(folder):
    with (folder / "pool.jsonl").open("a") as file:
        file.write('{"state": {"task"')
    assert len(list(read_states(folder / "pool.jsonl"))) == 2
    with (folder / "pool.jsonl").open("a") as file:
        file.write("\n{}\n")
    with pytest.raises(StateCorruptError, match="line 3"):
        list(read_states(folder / "pool.jsonl"))
