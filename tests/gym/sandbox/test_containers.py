"""How containers are asked for, and what is said where there are none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlagent_gym.errors import CapacityError, ConfigError, SandboxError
from mlagent_gym.executor import Limits
from mlagent_gym.sandbox import container_executor, make_executor
from mlagent_gym.sandbox.container_executor import ContainerExecutor
from mlagent_gym.sandbox.containers import ENGINES, IMAGES_ARE_FILES, Box, run_command

BOX = Box(
    engine="docker",
    image="python-ml:latest",
    name="mlagent-1",
    script="train.py",
    work=Path("/w"),
    data=Path("/d"),
    limits=Limits(wall_s=10, cpu_s=7.5, memory_mb=300, processes=40, disk_mb=64, open_files=256),
    environment={"MLAGENT_SEED": "3"},
    uid=1000,
)


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_gets_nothing_that_is_not_named(engine: str) -> None:
    command = run_command(replace(BOX, engine=engine))
    asked = " ".join(command[: command.index("--entrypoint")])
    for wanted in (
        f"{engine} run --name mlagent-1",
        "--pull never",
        "--log-driver none",
        "--network none",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--user 1000:1000",
        "--pids-limit 41",
        "--memory 300m --memory-swap 300m",
        "--ulimit core=0:0",
        "--ulimit cpu=9:9",
        f"--ulimit fsize={64 << 20}:{64 << 20}",
        "--ulimit nofile=256:256",
        "--read-only",
        "--tmpfs /tmp:rw,nosuid,nodev,size=64m,mode=1777",
        "--mount type=bind,src=/w,dst=/mlagent/work --",
        "--mount type=bind,src=/d,dst=/mlagent/input,readonly --",
    ):
        assert wanted in asked
    for never in ("--privileged", "--env", "--device", "--gpus", "--volume", "--cap-add", "--pid "):
        assert never not in asked
    assert asked.count("--mount") == 2
    assert ("--http-proxy=false" in asked) == (engine == "podman")


def test_the_script_is_named_after_the_image_and_its_environment_is_not_the_containers() -> None:
    command = run_command(BOX)
    image = command.index("python-ml:latest")
    assert command[image - 2 : image] == ["--entrypoint", "python3"]
    assert command[image + 1 : image + 4] == ["-I", "-S", "-c"]
    compile(command[image + 4], "init", "exec")
    setting, script = command[image + 5 :]
    assert json.loads(setting)["environment"] == {"MLAGENT_SEED": "3"}
    assert json.loads(setting)["end_after_s"] > BOX.limits.wall_s
    assert script == "train.py"


@pytest.mark.parametrize("engine", IMAGES_ARE_FILES)
def test_a_container_without_a_service_gets_nothing_that_is_not_named(engine: str) -> None:
    uid = os.getuid()
    command = run_command(replace(BOX, engine=engine, image="/ml.sif", uid=uid, others=5))
    asked = " ".join(command[: command.index("/ml.sif")])
    assert asked == (
        f"{engine} exec --containall --no-home --cleanenv --no-init --net --network none "
        "--hostname mlagent --no-privs --no-mount bind-paths,devpts,home,sys,tmp "
        "--bind /scratch:/tmp --bind /w:/mlagent/work --bind /d:/mlagent/input:ro "
        "--pwd /mlagent/work"
    )
    assert command[command.index("/ml.sif") + 1 :][:4] == ["python3", "-I", "-S", "-c"]
    limits = json.loads(command[-2])["limits"]
    assert limits == {
        "core": 0,
        "cpu": 9,
        "data": (600 + 4096) << 20,
        "fsize": 64 << 20,
        "memlock": 1 << 20,
        "msgqueue": 0,
        "nofile": 256,
        "nproc": 46,
    }


def test_a_container_without_a_service_is_another_user_than_root() -> None:
    command = run_command(replace(BOX, engine="apptainer", uid=os.getuid() + 1))
    uid = os.getuid() + 1
    assert command[command.index("--security") + 1] == f"uid:{uid},gid:{uid}"


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b"])
def test_a_folder_whose_name_would_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(SandboxError, match="Give it another name"):
        run_command(replace(BOX, engine="apptainer", data=Path("/") / name))


def test_a_script_does_not_get_the_same_limits_twice() -> None:
    assert json.loads(run_command(BOX)[-2])["limits"] == {}


def test_an_image_that_is_a_file_must_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _fake_engine(tmp_path, "apptainer", "echo 1.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SandboxError, match=r"apptainer build ml\.sif docker://IMAGE"):
        make_executor(f"apptainer:{tmp_path}/ml.sif")
    with pytest.raises(SandboxError, match="There is no image 'docker://python'"):
        make_executor("apptainer:docker://python")


def test_an_image_in_a_folder_is_another_when_a_file_in_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _fake_engine(tmp_path, "apptainer", "echo 1.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    inner = tmp_path / "image/usr/lib"
    inner.mkdir(parents=True)
    (inner / "one").write_text("1")

    def kind() -> str:
        return ContainerExecutor("apptainer", str(tmp_path / "image")).kind

    first = kind()
    assert kind() == first
    (inner / "one").write_text("12")
    assert kind() != first


def test_a_container_that_shows_all_graphics_processors_or_none_gets_none() -> None:
    with pytest.raises(ConfigError, match="all or none"):
        make_executor("apptainer:/ml.sif", gpus=1)


def _fake_engine(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{does}\n")
    (folder / name).chmod(0o755)


def test_graphics_processors_are_named_one_by_one() -> None:
    docker = run_command(replace(BOX, gpus=("GPU-1", "GPU-2")))
    podman = run_command(replace(BOX, engine="podman", gpus=("GPU-1", "GPU-2")))
    assert docker[docker.index("--gpus") + 1] == '"device=GPU-1,GPU-2"'
    assert [word for word in podman if "gpu=" in word] == [
        "nvidia.com/gpu=GPU-1",
        "nvidia.com/gpu=GPU-2",
    ]


def test_a_plain_users_container_is_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert "keep-id" in run_command(replace(BOX, engine="podman"))
    assert "keep-id" not in run_command(BOX)


@pytest.mark.parametrize("name", ["docker", "podman:", "docker:--privileged"])
def test_an_image_must_be_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLAGENT_IMAGE", raising=False)
    with pytest.raises(ConfigError, match="MLAGENT_IMAGE"):
        make_executor(name)


def test_the_image_may_be_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLAGENT_IMAGE", "one:two")
    said = tmp_path / "docker"
    said.write_text('#!/bin/sh\necho "no such image: $*" >&2\nexit 1\n')
    said.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"no such image: .* one:two.*docker pull one:two"):
        make_executor("docker")


def test_a_missing_engine_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="no program 'podman': install it"):
        make_executor("podman:image")


def test_an_engine_that_cannot_start_a_container_is_the_machines_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("bin", "work", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "data").chmod(0o755)
    fake = tmp_path / "bin/docker"
    fake.write_text('#!/bin/sh\n[ "$1" = ps ] && exit 0\necho "cannot $1" >&2\nexit 125\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "work/kept").write_text("kept")
    executor = ContainerExecutor("docker", "image")
    with pytest.raises(SandboxError, match="docker could not start a container: cannot run"):
        executor.run("train.py", tmp_path / "work", tmp_path / "data", Limits())
    assert (tmp_path / "work/kept").read_text() == "kept"


def test_data_the_scripts_user_could_not_read_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    (tmp_path / "closed").touch(mode=0o600)
    with pytest.raises(SandboxError, match="chmod -R o"):
        ContainerExecutor("docker", "image").run("a.py", tmp_path, tmp_path, Limits())


def test_a_run_that_can_never_fit_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(CapacityError, match="MB of memory"):
        ContainerExecutor("docker", "image").run(
            "a.py", tmp_path, tmp_path, Limits(memory_mb=10**9)
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_container_that_outlives_its_watcher_ends(
    engine: str,
    engine_executor: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its first process ends it, and the script cannot keep that from happening."""
    monkeypatch.setattr("mlagent_gym.sandbox.containers._END_LATER_S", -85)
    monkeypatch.setattr(container_executor, "_closed_to_others", lambda data: "")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/train.py").write_text(
        "import os, signal, time\n"
        "for number in (signal.SIGSTOP, signal.SIGKILL):\n"
        "    os.kill(1, number)\n"
        "time.sleep(80)\n"
    )
    image = engine_executor(engine).partition(":")[2]
    run = ContainerExecutor(engine, image).run(
        "train.py", tmp_path / "work", tmp_path, Limits(wall_s=90, memory_mb=100)
    )
    assert run.status == "killed", run
    assert run.wall_s < 75  # the script alone would have taken 80
