"""mlagent_train.gpu_log with a stand-in for nvidia-smi."""

import json

import pytest

from mlagent_train import gpu_log


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Put a program called nvidia-smi first on the path; it prints what it is given."""
    monkeypatch.setattr(gpu_log, "gpu_count", lambda: 2)
    monkeypatch.setenv("PATH", str(tmp_path))

    def prints(text):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)

    return prints


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_sample_is_a_line_for_each_gpu(smi, tmp_path):
    smi("0, 97, 1024, 81559\n1, 0, 512, 81559")
    log = gpu_log.GpuLog(tmp_path / "gpu.jsonl", every_s=0.0)
    log.sample()
    log.sample()
    found = rows(tmp_path / "gpu.jsonl")
    assert [(row["gpu"], row["busy_percent"]) for row in found] == [(0, 97), (1, 0)] * 2
    assert found[0]["memory_used_mib"] == 1024


def test_samples_are_taken_at_most_so_often(smi, tmp_path):
    smi("0, 97, 1024, 81559")
    log = gpu_log.GpuLog(tmp_path / "gpu.jsonl", every_s=600.0)
    log.sample()
    log.sample()
    assert len(rows(tmp_path / "gpu.jsonl")) == 1


def test_a_gpu_that_does_not_say_is_left_out(smi, tmp_path):
    smi("0, [N/A], 1024, 81559")
    gpu_log.GpuLog(tmp_path / "gpu.jsonl").sample()
    assert rows(tmp_path / "gpu.jsonl") == []


def test_without_gpus_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_log, "gpu_count", lambda: 0)
    gpu_log.GpuLog(tmp_path / "gpu.jsonl", every_s=0.0).sample()
    assert not (tmp_path / "gpu.jsonl").exists()


def test_without_nvidia_smi_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_log, "gpu_count", lambda: 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu_log.GpuLog(tmp_path / "gpu.jsonl").sample()
    assert not (tmp_path / "gpu.jsonl").exists()
