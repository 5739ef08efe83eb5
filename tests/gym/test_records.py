"""Records survive saving, crashes and several writers; what is no record is refused."""

import contextlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.errors import RecordError, StateError
from mlagent_gym.records import SCHEMA, Record, append_record, read_records
from mlagent_gym.state import State

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
plain = st.dictionaries(st.text(), json_values, max_size=3)
states = st.builds(
    State,
    task=st.text(max_size=9),
    variant=st.just("synthetic"),
    fingerprint=st.text(max_size=9),
    seed=st.integers(0, 9),
    files=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    step=st.integers(0, 15),
)
records = st.builds(
    Record,
    episode=st.text(),
    env=plain,
    state=states,
    prompt=st.text(),
    reply=st.text(),
    action=plain,
    reward=st.floats(allow_nan=False, allow_infinity=False),
    terminated=st.booleans(),
    truncated=st.booleans(),
    info=plain,
    next_state=states,
    next_prompt=st.text(),
    messages=st.none() | st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2),
)


def record(number=0):
    state = State("house-price", "synthetic", "f", number, {})
    return Record(
        "e", {}, state, "p", f"reply {number}", {}, 0.5, False, False, {}, state, "q", diff="x" * 99
    )


@given(records)
def test_saving_and_loading_is_identity(record):
    line = record.to_json()
    assert "\n" not in line
    assert Record.from_json(line) == record


@given(records, st.data())
def test_damaged_lines_are_refused_with_a_typed_error(record, data):
    line = record.to_json()
    at = data.draw(st.integers(0, len(line) - 1))
    with contextlib.suppress(RecordError, StateError):
        Record.from_json(line[:at] + data.draw(st.text(max_size=3)) + line[at + 1 :])


@pytest.mark.parametrize("line", ["", "[" * 100_000, "[]", "{}", b"\xff", '{"episode": 1}'])
def test_what_is_no_record_says_so(line):
    with pytest.raises((RecordError, StateError), match="This is not a"):
        Record.from_json(line)


def test_a_newer_record_asks_for_an_upgrade():
    with pytest.raises(RecordError, match="Upgrade"):
        Record.from_json(json.dumps({"schema": SCHEMA + 1}))


def test_whatever_a_crash_leaves_of_the_last_line_is_dropped(tmp_path):
    path = tmp_path / "episodes.jsonl"
    append_record(path, record(1))
    whole = path.read_bytes()
    second = record(2).to_json().encode()
    for cut in (1, len(second) // 2, len(second)):
        path.write_bytes(whole + second[:cut])
        assert list(read_records(path)) == [record(1)]
        append_record(path, record(3))
        assert list(read_records(path)) == [record(1), record(3)]
    path.write_bytes(b'{"torn')
    assert not list(read_records(path))
    append_record(path, record(3))
    assert list(read_records(path)) == [record(3)]


def test_damage_in_the_middle_is_named(tmp_path):
    path = tmp_path / "episodes.jsonl"
    append_record(path, record(1))
    with path.open("a") as file:
        file.write("garbage\n")
    append_record(path, record(3))
    with pytest.raises(RecordError, match="line 2"):
        list(read_records(path))
    with pytest.raises(RecordError, match="nowhere"):
        list(read_records(tmp_path / "nowhere"))


def test_folders_are_made_and_what_cannot_be_written_is_an_error(tmp_path):
    append_record(tmp_path / "runs" / "a" / "episodes.jsonl", record())
    assert list(read_records(tmp_path / "runs" / "a" / "episodes.jsonl")) == [record()]
    with pytest.raises(RecordError, match="cannot be written"):
        append_record(tmp_path / "runs", record())


APPEND = """
import sys
from mlagent_gym.records import Record, append_record
record = Record.from_json(sys.stdin.read())
for _ in range(30):
    append_record(sys.argv[1], record)
"""


def test_several_writers_share_a_file(tmp_path):
    path = tmp_path / "episodes.jsonl"
    command = [sys.executable, "-c", APPEND, str(path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.stdin.write(record(number).to_json())
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    replies = sorted(one.reply for one in read_records(path))
    assert replies == sorted(f"reply {number}" for number in range(3) for _ in range(30))
