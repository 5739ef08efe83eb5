"""What the gym asks for and what it is told."""

from __future__ import annotations

from dataclasses import dataclass

from .gpus import Gpu

__all__ = ["Order", "Report", "Setting"]


@dataclass(frozen=True)
class Order:
    """One run to be made. Paths are absolute."""

    level: str
    """Name of a `levels.Level`."""
    warm: bool
    """Fork the preloaded interpreter instead of starting a new one."""
    python: str
    script: str
    """Relative to `workspace`."""
    workspace: str
    data: str
    temporary: str
    """Folder for HOME and TMPDIR where the level does not make one."""
    environment: dict[str, str]
    wall_s: float
    cpu_s: float
    memory_mb: int
    processes: int
    open_files: int
    disk_mb: int
    files: int
    output_kb: int
    kept_output_kb: int
    niceness: int
    """Of whoever asks, whatever that of the broker is."""
    devices: tuple[str, ...] = ()
    """Device files of the graphics processors the run was given."""


@dataclass(frozen=True)
class Report:
    """How a run went."""

    status: str = ""
    """Value of a `mlagent_gym.executor.RunStatus`."""
    reason: str = ""
    exit_code: int | None = None
    output: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mb: float = 0.0
    written_mb: float = 0.0
    fault: str = ""
    """Why the run could not be made as promised; then nothing else is meant."""


@dataclass(frozen=True)
class Setting:
    """What a broker was started for."""

    level: str
    root: str
    """Folder where the base of the scripts' view is, or was, mounted."""
    lock: str
    """File that clients lock while they look for a broker or start one."""
    linger_s: float
    """How long to wait for the next client."""
    cores: int
    """How many all runs may take together; 0: as many as there are."""
    memory_mb: int
    """How much all runs may take together; 0: as much as there is."""
    gpus: tuple[Gpu, ...]
    """The machine's graphics processors."""
    python: str
    environment: dict[str, str]
    """Of the preloaded interpreter."""
    preload: tuple[str, ...]
    most_forks: int
    """After so many scripts another preloaded interpreter takes over."""
    visible: tuple[str, ...]
    hidden: tuple[str, ...]

    @property
    def zygote(self) -> str:
        """Address of the preloaded interpreter's socket."""
        return self.root + ".zygote"
