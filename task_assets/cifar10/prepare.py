"""CIFAR-10: the official split as NumPy arrays, and a stand-in with ten kinds of drawn things.

The stand-in shows one thing per image, drawn at a random place, size, angle and side, in
random colours, on a cluttered background under random light. Only its outline says what it
is (colours and background lean towards a class a little, as skies and meadows do), so that
convolution, flipped and shifted copies, normalised light and longer training all help.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CLASSES = 10
PIXELS = 32
NOISE = 0.03  # share of images under a wrong class


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Turn the official training and test batches into arrays, in their own order."""
    batches = {}
    with tarfile.open(raw / "cifar-10-python.tar.gz") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and (name.startswith("data_batch") or name == "test_batch"):
                file = archive.extractfile(member)
                assert file is not None  # it is a plain file
                batches[name] = _ArraysOnly(io.BytesIO(file.read()), encoding="bytes").load()
    test = batches.pop("test_batch")
    train = [batches[name] for name in sorted(batches)]
    _write(
        np.concatenate([_images(batch) for batch in train]),
        np.concatenate([batch[b"labels"] for batch in train]),
        _images(test),
        np.array(test[b"labels"]),
        public,
        private,
    )


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Draw `size` images to learn from and half as many to classify."""
    rng = np.random.default_rng([seed, 0xC1FA2])
    n = size + max(size // 2, CLASSES)
    shown = rng.permutation(np.arange(n) % CLASSES)
    images = _draw(rng, shown)
    wrong = rng.random(n) < NOISE
    labels = np.where(wrong, (shown + rng.integers(1, CLASSES, n)) % CLASSES, shown)
    _write(images[:size], labels[:size], images[size:], labels[size:], public, private)
    _scores(shown[size:]).to_csv(private / "oracle.csv")


class _ArraysOnly(pickle.Unpickler):
    """Reads the published batches without running anything but NumPy's own constructors."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype"):
            module = "numpy._core.multiarray" if name == "_reconstruct" else "numpy"
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a CIFAR-10 batch must not refer to {module}.{name}")


def _images(batch: dict[bytes, Any]) -> np.ndarray:
    pixels = np.asarray(batch[b"data"], dtype=np.uint8)
    return pixels.reshape(-1, 3, PIXELS, PIXELS).transpose(0, 2, 3, 1)


def _write(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    answers: np.ndarray,
    public: Path,
    private: Path,
) -> None:
    np.save(public / "train_images.npy", np.ascontiguousarray(train))
    np.save(public / "train_labels.npy", labels.astype(np.uint8))
    np.save(public / "test_images.npy", np.ascontiguousarray(test))
    _scores(np.zeros(len(test), dtype=int)).to_csv(public / "sample_submission.csv")
    _scores(answers).to_csv(private / "answers.csv")


def _scores(classes: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(np.eye(CLASSES, dtype=int)[classes])


# The outline of each class: boxes (x, y, half width, half height) and discs (x, y, radius) on a
# square from -1 to 1, y downwards, facing right.
OUTLINES: dict[int, dict[str, list[tuple[float, ...]]]] = {
    0: {"box": [(0, 0, 0.95, 0.14), (0.05, 0, 0.16, 0.75), (-0.8, -0.2, 0.12, 0.3)]},
    1: {"box": [(0, 0.15, 0.95, 0.22), (-0.1, -0.2, 0.5, 0.22)],
        "disc": [(-0.55, 0.45, 0.22), (0.55, 0.45, 0.22)]},
    2: {"disc": [(-0.1, 0.05, 0.5), (0.5, -0.35, 0.28)], "box": [(0.85, -0.33, 0.15, 0.07),
        (-0.15, 0.75, 0.05, 0.25)]},
    3: {"disc": [(0, 0.15, 0.7)], "box": [(-0.48, -0.6, 0.14, 0.3), (0.48, -0.6, 0.14, 0.3)]},
    4: {"box": [(-0.1, 0.05, 0.5, 0.22), (-0.5, 0.6, 0.07, 0.4), (0.3, 0.6, 0.07, 0.4),
        (0.5, -0.3, 0.1, 0.4), (0.5, -0.75, 0.4, 0.06), (0.2, -0.88, 0.06, 0.12),
        (0.8, -0.88, 0.06, 0.12)]},
    5: {"disc": [(0, 0.1, 0.65)], "box": [(-0.72, 0.15, 0.13, 0.5), (0.72, 0.15, 0.13, 0.5)]},
    6: {"disc": [(0, 0.25, 0.6), (-0.45, -0.4, 0.25), (0.45, -0.4, 0.25)],
        "box": [(0, 0.75, 0.9, 0.12)]},
    7: {"box": [(-0.1, 0.05, 0.55, 0.25), (-0.55, 0.6, 0.09, 0.4), (0.35, 0.6, 0.09, 0.4),
        (0.5, -0.35, 0.15, 0.4), (0.7, -0.6, 0.28, 0.14)]},
    8: {"box": [(0, 0.45, 0.9, 0.18), (0, 0.65, 0.65, 0.12), (-0.05, -0.2, 0.06, 0.6),
        (0.25, -0.15, 0.25, 0.35)]},
    9: {"box": [(-0.25, -0.1, 0.65, 0.45), (0.65, 0.1, 0.27, 0.28)],
        "disc": [(-0.5, 0.5, 0.2), (0.55, 0.5, 0.2)]},
}  # fmt: skip

# Average background per class (red, green, blue in 0..1): skies, roads, woods and seas.
PLACES = np.array(
    [[.60, .70, .80], [.52, .50, .50], [.50, .60, .55], [.55, .48, .45], [.42, .52, .38],
     [.55, .50, .45], [.45, .50, .35], [.48, .55, .40], [.50, .62, .75], [.55, .55, .55]]
)  # fmt: skip


def _draw(rng: np.random.Generator, shown: np.ndarray) -> np.ndarray:
    n = len(shown)
    outline = _outlines(rng, shown)

    def colour(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1, 3))

    place = PLACES[shown][:, None, None] + rng.normal(0, 0.12, (n, 1, 1, 3))
    ground = place + 0.5 * _clutter(rng, n)
    # The thing's colour keeps a distance from its background, on either side of it.
    side = rng.choice([-1.0, 1.0], (n, 1, 1, 1))
    thing = place + side * colour(0.2, 0.5) + 0.3 * _clutter(rng, n)
    image = outline * thing + (1 - outline) * ground
    light = rng.uniform(0.6, 1.3, (n, 1, 1, 1))
    image = light * image + rng.normal(0, 0.08, (n, 1, 1, 1))
    image += rng.normal(0, 0.05, image.shape)
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)


def _outlines(rng: np.random.Generator, shown: np.ndarray) -> np.ndarray:
    """Return how much of each pixel the thing covers, images x 32 x 32 x 1."""
    n = len(shown)
    axis = (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    shift = rng.uniform(-0.22, 0.22, (2, n, 1, 1))
    angle = rng.normal(0, 0.18, (n, 1, 1))
    zoom = rng.uniform(0.6, 0.9, (n, 1, 1))
    stretch = np.exp(rng.normal(0, 0.12, (n, 1, 1)))
    side = rng.choice([-1.0, 1.0], (n, 1, 1))
    x, y = x - shift[0], y - shift[1]
    turned_x = (np.cos(angle) * x + np.sin(angle) * y) * side / (zoom * stretch)
    turned_y = (np.cos(angle) * y - np.sin(angle) * x) / (zoom / stretch)
    inside = np.empty(turned_x.shape)
    for kind, parts in OUTLINES.items():
        rows = shown == kind
        u, v = turned_x[rows], turned_y[rows]
        # Distance outside the nearest part, negative within it.
        distance = np.full(u.shape, np.inf)
        for cx, cy, half_width, half_height in parts.get("box", []):
            box = np.maximum(np.abs(u - cx) - half_width, np.abs(v - cy) - half_height)
            distance = np.minimum(distance, box)
        for cx, cy, radius in parts.get("disc", []):
            distance = np.minimum(distance, np.hypot(u - cx, v - cy) - radius)
        inside[rows] = distance * zoom[rows]
    return np.clip(0.5 - inside * PIXELS / 2, 0, 1)[..., None]


def _clutter(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return smooth random colours, coarse and fine, images x 32 x 32 x 3, about 0."""
    total = np.zeros((n, PIXELS, PIXELS, 3))
    for cells, strength in ((2, 0.22), (4, 0.16), (8, 0.12)):
        coarse = rng.normal(0, strength, (n, cells + 1, cells + 1, 3))
        at = np.linspace(0, cells, PIXELS, endpoint=False)
        low, part = at.astype(int), (at % 1)[:, None]
        rows = coarse[:, low] * (1 - part[..., None]) + coarse[:, low + 1] * part[..., None]
        total += rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return total
