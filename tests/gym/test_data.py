from __future__ import annotations

import errno
import json
import multiprocessing
import os
import stat
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym import data
from mlagent_gym.errors import (
    ConfigError,
    DataCorruptError,
    DataMissingError,
    DiskFullError,
    MissingPackageError,
    TaskError,
    UsageError,
)
from mlagent_gym.raw import file_digest
from mlagent_gym.tasks import Download, OtherSplit, RawFile, Submission, Synthetic, Task

PREPARE = """
import time
def prepare(raw, public, private):
    rows = (raw / "train.csv").read_text().splitlines()
    (public / "train.csv").write_text("\\n".join(rows[:3]) + "\\n")
    (private / "answers.csv").write_text("\\n".join([rows[0], *rows[3:]]) + "\\n")

def synthesize(public, private, *, seed, size):
    time.sleep(0.2)
    (public / "train.csv").write_text(f"Id,Price\\n{seed},{size}\\n")
    (private / "answers.csv").write_text("Id,Price\\n1,1\\n")
"""
TRAIN = "public/train.csv"
RAW = "Id,Price\n1,10\n2,20\n3,30\n"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def task(tmp_path: Path, own_cache: Path) -> Task:
    folder = tmp_path / "made-up"
    folder.mkdir()
    (folder / "prepare.py").write_text(PREPARE)
    return Task(
        id="made-up",
        folder=folder,
        title="Made up",
        benchmark="a benchmark",
        split="held-in",
        modality="tabular",
        metric="mae",
        submission=Submission(id="Id", targets=("Price",)),
        synthetic=Synthetic(size=7),
        raw=(RawFile("train.csv"),),
        download=Download(kaggle="made-up-slug"),
        rows={"public/train.csv": 2},
    )


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "train.csv").write_text(RAW)
    return folder


def test_the_cache_is_where_the_environment_says_or_the_system_keeps_caches(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert data.cache_root() == own_cache
    monkeypatch.delenv("MLAGENT_CACHE")
    assert data.cache_root().name == "mlagent-gym"


def test_synthetic_data_are_made_once_and_found_again(task: Task) -> None:
    made = data.synthetic(task)
    modified = (made.public / "train.csv").stat().st_mtime_ns
    again = data.synthetic(task)
    assert again == made
    assert (again.public / "train.csv").stat().st_mtime_ns == modified
    assert (made.variant, made.seed, made.size) == ("synthetic", 0, 7)


def test_another_seed_size_or_recipe_is_another_set_of_data(task: Task) -> None:
    made = data.synthetic(task)
    others = [data.synthetic(task, seed=1), data.synthetic(task, size=8)]
    (task.folder / "prepare.py").write_text(PREPARE.replace("1,1", "1,2"))
    others.append(data.synthetic(task))
    assert len({made.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert len({made.folder, *(other.folder for other in others)}) == 4


def test_equal_data_have_equal_fingerprints_wherever_they_are(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = data.synthetic(task)
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "elsewhere"))
    there = data.synthetic(task)
    assert here.fingerprint == there.fingerprint and here.folder != there.folder


def test_files_are_read_only_and_the_answers_closed_to_others(task: Task) -> None:
    made = data.synthetic(task)
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o700
    assert stat.S_IMODE((made.public / "train.csv").stat().st_mode) == 0o444


def _make_in_process(task: Task, results: multiprocessing.Queue[str]) -> None:
    results.put(data.synthetic(task).fingerprint)


def test_processes_that_want_the_same_data_at_once_get_the_same(task: Task) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=_make_in_process, args=(task, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    fingerprints = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert fingerprints == {data.synthetic(task).fingerprint}


def test_a_task_that_fails_leaves_nothing_behind(task: Task, own_cache: Path) -> None:
    (task.folder / "prepare.py").write_text("def synthesize(*a, **k): raise KeyError('colour')")
    with pytest.raises(TaskError, match=r"synthesize\(\) in .*prepare.py failed: KeyError"):
        data.synthetic(task)
    left = [path for path in own_cache.rglob("*") if path.suffix != ".lock"]
    assert left == [own_cache / task.id]


def test_a_full_disk_is_the_machines_fault(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    (task.folder / "prepare.py").write_text(
        f"def synthesize(*a, **k): raise OSError({errno.ENOSPC}, 'No space left on device')"
    )
    with pytest.raises(DiskFullError, match="MLAGENT_CACHE"):
        data.synthetic(task)


@pytest.mark.parametrize(("seed", "size"), [(-1, None), (0, 0)])
def test_seeds_and_sizes_that_mean_nothing_are_refused(
    task: Task, seed: int, size: int | None
) -> None:
    with pytest.raises(UsageError):
        data.synthetic(task, seed=seed, size=size)


def test_a_damaged_manifest_is_told_from_a_missing_one(task: Task) -> None:
    made = data.synthetic(task)
    (made.folder / "manifest.json").write_text("{")
    with pytest.raises(DataCorruptError, match="Delete"):
        data.synthetic(task)


def test_changes_to_the_data_are_found_when_asked_for(task: Task) -> None:
    made = data.synthetic(task)
    data.verify(made)
    answers = made.private / "answers.csv"
    answers.chmod(0o600)
    answers.write_text("Id,Price\n1,2\n")
    with pytest.raises(DataCorruptError, match="changed after they were made"):
        data.verify(made)


def test_real_data_that_were_never_prepared_name_the_command(task: Task) -> None:
    with pytest.raises(DataMissingError, match="mlagent prepare made-up"):
        data.real(task)


def test_real_data_are_split_into_the_cache_and_found_again(task: Task, raw: Path) -> None:
    prepared = data.prepare_real(task, raw)
    assert data.real(task) == prepared
    assert prepared.variant == "real"
    assert (prepared.private / "answers.csv").read_text() == "Id,Price\n3,30\n"
    assert sorted(path.name for path in prepared.folder.iterdir()) == [
        "manifest.json",
        "private",
        "public",
    ]


def test_preparing_again_replaces_what_was_there(task: Task, raw: Path) -> None:
    first = data.prepare_real(task, raw)
    (raw / "train.csv").write_text(RAW.replace("30", "31"))
    assert data.prepare_real(task, raw) == first
    again = data.prepare_real(task, raw, again=True)
    assert again.fingerprint != first.fingerprint
    assert data.real(task) == again


def _zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _seven_zip(path: Path, members: dict[str, bytes]) -> None:
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(content, name)


@pytest.mark.parametrize(
    "layout", ["file", "zip", "folder in zip", "zip in zip", "7z", "folder in 7z", "7z in zip"]
)
def test_raw_files_are_found_however_they_are_packed(
    task: Task, tmp_path: Path, layout: str
) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    content = RAW.encode()
    if layout == "file":
        (folder / "train.csv").write_bytes(content)
    elif layout == "zip":
        _zip(folder / "train.csv.zip", {"train.csv": content})
    elif layout == "folder in zip":
        _zip(folder / "made-up-slug.zip", {"data/train.csv": content})
    elif layout == "7z":
        _seven_zip(folder / "train.csv.7z", {"other.csv": b"", "train.csv": content})
    elif layout == "folder in 7z":
        _seven_zip(folder / "made-up-slug.7z", {"data/train.csv": content})
    elif layout == "7z in zip":
        _seven_zip(tmp_path / "inner.7z", {"train.csv": content})
        _zip(folder / "made-up-slug.zip", {"train.7z": (tmp_path / "inner.7z").read_bytes()})
    else:
        _zip(tmp_path / "inner.zip", {"train.csv": content})
        _zip(folder / "made-up-slug.zip", {"train.zip": (tmp_path / "inner.zip").read_bytes()})
    prepared = data.prepare_real(task, folder)
    assert (prepared.public / "train.csv").read_text() == "Id,Price\n1,10\n2,20\n"


def test_a_raw_folder_is_found_by_name_inside_an_archive(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    _zip(folder / "all.zip", {"images/1.txt": b"one", "images/2.txt": b"two", "other.txt": b""})
    (task.folder / "prepare.py").write_text(
        "def prepare(raw, public, private):\n"
        "    names = sorted(p.name for p in (raw / 'images').iterdir())\n"
        "    (public / 'names').write_text(' '.join(names))\n"
    )
    images = replace(task, raw=(RawFile("images/"),), rows={})
    prepared = data.prepare_real(images, folder)
    assert (prepared.public / "names").read_text() == "1.txt 2.txt"


@pytest.mark.parametrize("kind", ["zip", "7z"])
def test_a_damaged_archive_is_to_be_downloaded_again(task: Task, tmp_path: Path, kind: str) -> None:
    folder, content = tmp_path / "download", os.urandom(4000)
    folder.mkdir()
    archive = folder / f"train.csv.{kind}"
    (_zip if kind == "zip" else _seven_zip)(archive, {"train.csv": content})
    whole = archive.read_bytes()
    for damaged in (whole[:2000], whole[:1000] + b"other bytes" + whole[1011:]):
        archive.write_bytes(damaged)
        with pytest.raises(DataCorruptError, match=r"cannot be unpacked .* get it again"):
            data.prepare_real(task, folder)


def test_members_of_an_archive_stay_below_its_folder(task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    _zip(folder / "all.zip", {"../train.csv": b"", "/train.csv": b"", "a/train.csv": RAW.encode()})
    prepared = data.prepare_real(task, folder)
    assert (prepared.public / "train.csv").read_text() == "Id,Price\n1,10\n2,20\n"


def test_what_is_needed_to_unpack_is_named(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    (folder / "train.csv.7z").write_bytes(b"7z")
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(MissingPackageError, match=r"train\.csv\.7z needs py7zr: pip install"):
        data.prepare_real(task, folder)


def test_missing_raw_files_are_named_with_where_to_get_them(task: Task, tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"lacks train.csv .*competitions/made-up-slug"):
        data.prepare_real(task, tmp_path)
    with pytest.raises(DataMissingError, match="not a folder"):
        data.prepare_real(task, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bytes": 3}, "bytes instead of 3"),
        ({"md5": "0" * 32}, "has the md5"),
        ({"sha256": "0" * 64}, "has the sha256"),
    ],
)
def test_raw_files_that_differ_from_the_published_ones_are_refused(
    task: Task, raw: Path, wrong: dict[str, object], message: str
) -> None:
    strict = replace(task, raw=(replace(task.raw[0], **wrong),))  # type: ignore[arg-type]
    with pytest.raises(DataCorruptError, match=message):
        data.prepare_real(strict, raw)


def test_prepared_files_must_equal_the_published_ones(task: Task, raw: Path) -> None:
    with pytest.raises(DataCorruptError, match=r"public/train\.csv of made-up has the md5"):
        data.prepare_real(replace(task, checksums={"public/train.csv": "0" * 32}), raw)
    with pytest.raises(DataCorruptError, match="has 2 rows, a benchmark has 5"):
        data.prepare_real(replace(task, rows={"public/train.csv": 5}), raw)
    prepared = data.prepare_real(task, raw)
    md5 = file_digest(prepared.public / "train.csv", "md5")
    published = replace(task, checksums={"public/train.csv": md5})
    assert data.prepare_real(published, raw, again=True).fingerprint == prepared.fingerprint


def test_partial_data_are_taken_only_on_request_and_say_so(task: Task, raw: Path) -> None:
    more = replace(task, raw=(*task.raw, RawFile("images.zip")))
    with pytest.raises(DataMissingError, match=r"images\.zip"):
        data.prepare_real(more, raw)
    prepared = data.prepare_real(more, raw, partial=True)
    assert prepared.variant == "real-partial"
    assert data.of_variant(more, "real-partial") == prepared
    with pytest.raises(DataMissingError, match="another variant, which is there: real-partial"):
        data.real(more)
    complete = data.prepare_real(task, raw)
    assert data.real(task) == complete and complete.variant == "real"
    assert data.prepared_variants(task) == ["real", "real-partial"]


def test_partial_data_cannot_pass_for_complete_ones(task: Task, raw: Path) -> None:
    prepared = data.prepare_real(task, raw, partial=True)
    prepared.folder.rename(prepared.folder.with_name("real"))
    with pytest.raises(DataCorruptError, match="is of the variant 'real-partial'"):
        data.real(task)


REVERSED = """
def prepare_reversed(raw, public, private):
    rows = (raw / "train.csv").read_text().splitlines()
    (public / "train.csv").write_text("\\n".join([rows[0], rows[-1]]) + "\\n")
    (private / "answers.csv").write_text("\\n".join(rows[:-1]) + "\\n")
"""


@pytest.fixture
def with_split(task: Task) -> Task:
    (task.folder / "prepare.py").write_text(PREPARE + REVERSED)
    other = OtherSplit("prepare_reversed", "the last row is learned from", rows={TRAIN: 1})
    return replace(task, other_splits={"reversed": other})


def test_another_split_is_another_variant_beside_the_benchmarks(
    with_split: Task, raw: Path
) -> None:
    with pytest.raises(DataMissingError, match=r"prepare made-up --split reversed$"):
        data.of_variant(with_split, "real-reversed")
    other = data.prepare_real(with_split, raw, split="reversed")
    own = data.prepare_real(with_split, raw)
    assert (other.variant, own.variant) == ("real-reversed", "real")
    assert other.fingerprint != own.fingerprint and other.folder != own.folder
    assert (other.public / "train.csv").read_text() == "Id,Price\n3,30\n"
    assert data.of_variant(with_split, "real-reversed") == other
    partial = data.prepare_real(with_split, raw, split="reversed", partial=True)
    assert partial.variant == "real-reversed-partial"
    assert data.variants(with_split) == (
        "synthetic",
        "real",
        "real-reversed",
        "real-partial",
        "real-reversed-partial",
    )


def test_another_split_must_equal_what_was_published_of_it(with_split: Task, raw: Path) -> None:
    wrong = replace(with_split.other_splits["reversed"], checksums={TRAIN: "0" * 32})
    with pytest.raises(DataCorruptError, match="has the md5"):
        data.prepare_real(
            replace(with_split, other_splits={"reversed": wrong}), raw, split="reversed"
        )


def test_splits_and_variants_that_are_not_there_are_answered_with_those_that_are(
    with_split: Task, raw: Path
) -> None:
    with pytest.raises(UsageError, match=r"no split 'random' .* known: reversed"):
        data.prepare_real(with_split, raw, split="random")
    with pytest.raises(ConfigError, match="known: synthetic, real, real-reversed"):
        data.of_variant(with_split, "real-random")


def test_a_manifest_names_no_path_of_this_machine(task: Task) -> None:
    made = data.synthetic(task)
    text = (made.folder / "manifest.json").read_text()
    assert str(made.folder) not in text and os.sep not in json.loads(text)["fingerprint"]


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.rglob(".raw-*"))
