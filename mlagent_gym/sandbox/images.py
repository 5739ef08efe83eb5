"""What tells one container image from another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from mlagent_gym.errors import SandboxError
from mlagent_gym.sandbox.container_cells import ask
from mlagent_gym.sandbox.containers import IMAGES_ARE_FILES

__all__ = ["identity_of"]


def identity_of(engine: str, image: str) -> str:
    """Return a name for the content of an image.

    That of a file or folder is made from the names, sizes and times of what is in it.

    Raises
    ------
    SandboxError
        The engine or the image is not there.
    """
    if engine not in IMAGES_ARE_FILES:
        return ask(
            [engine, "image", "inspect", "--format", "{{.Id}}", image],
            f"Is {engine} running, and the image there? If not: {engine} pull {image}",
        )
    version = ask([engine, "version"], f"Is {engine} installed as it must be?")
    place = Path(image)
    if not place.exists():
        raise SandboxError(
            f"There is no image {image!r}: name a SIF file or a folder. To make one: "
            f"{engine} build {place.stem or 'image'}.sif docker://IMAGE."
        )
    digest = hashlib.sha256(version.encode())
    for path, status in _walk(place):
        line = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "replace"))
    return digest.hexdigest()


def _walk(place: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield a file, or all that is in a folder, in an order that is always the same."""
    yield ".", place.stat()
    for folder, folders, files in os.walk(place):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = os.path.join(folder, name)  # noqa: PTH118 - many
            yield os.path.relpath(path, place), os.lstat(path)
