"""How much a run adds to its folders."""

from pathlib import Path

from mlagent_gym.sandbox.runtime.folders import Growth, measure

KB = 1024


def _fill(folder: Path, names: range, kilobytes: int = 0) -> None:
    for name in names:
        (folder / str(name)).write_bytes(bytes(kilobytes * KB))


def test_what_is_added_counts_however_much_is_there_already(tmp_path: Path):
    _fill(tmp_path, range(100))
    growth = Growth((str(tmp_path),), 10)
    assert growth.measure() == (0, 0)
    _fill(tmp_path, range(100, 111), kilobytes=64)
    written, entries = growth.measure()
    assert entries == 11
    assert written >= 11 * 64 * KB


def test_counting_ends_far_above_what_may_be_added(tmp_path: Path):
    growth = Growth((str(tmp_path),), 10)
    _fill(tmp_path, range(200))
    assert growth.measure()[1] == 41


def test_a_deleted_file_that_is_open_makes_up_for_itself_only(tmp_path: Path):
    _fill(tmp_path, range(1), kilobytes=256)
    size, _ = measure(str(tmp_path), at_most=10)
    growth = Growth((str(tmp_path),), 10)
    (tmp_path / "0").unlink()
    assert growth.measure() == (0, 0)
    assert growth.measure(deleted_bytes=size) == (0, 0)
    assert growth.measure(deleted_bytes=size + 44 * KB) == (44 * KB, 0)
