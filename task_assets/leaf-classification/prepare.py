"""Leaves: MLE-bench's split of the 99 species, and a stand-in whose species are prototypes.

A species of the stand-in has a prototype of each group of features, alike within a genus.
Margin and texture are histograms of 1024 counts around the prototype; the texture of single
leaves varies most. The shape is the distance of the outline from the middle in 64 directions,
a sum of waves; the image is that very outline, white on black. So all groups together,
common scales and square roots of the counts help, and the image repeats the shape.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

FACTS = tomllib.loads(Path(__file__).with_name("task.toml").read_text(encoding="utf-8"))
SPECIES = FACTS["submission"]["targets"]
N = len(SPECIES)
BINS = 64
COUNTS = 1024
WORLD = 1753  # the species are the same for every seed, their leaves are not
NOISE = 0.01  # share of leaves under the name of another species, of the same genus if it has one
OF_GENUS = 0.55  # weight of the genus in a species' prototype

# How sparse the prototypes of margin and texture are, and how near to them leaves stay.
MARGIN = (0.75, 130.0)
TEXTURE = (0.40, 28.0)
WAVES = np.arange(1, 13)
SHAPE = 0.34 / WAVES**1.1  # spread of the waves' heights among species
LEAF = 0.085 / WAVES**0.7  # spread among the leaves of one species
SIZES = (0.36, 0.10)  # the same two of the logarithm of the size


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth of Kaggle's train.csv out, as MLE-bench does."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    (public / "images").mkdir()
    parts = []
    for part in (train, test):
        images = [raw / "images" / f"{leaf}.jpg" for leaf in part["id"]]
        there = np.array([image.is_file() for image in images])
        for image in np.array(images, dtype=object)[there]:
            shutil.copyfile(image, public / "images" / image.name)
        parts.append(part[there])
    _write(*parts, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` leaves to learn from and a third as many to name."""
    rng = np.random.default_rng([seed, 0x1EAF])
    n = size + max(size // 3, 1)
    world = _World()
    # Every species as often as any other, within each part.
    species = np.r_[rng.permutation(np.arange(size) % N), rng.permutation(np.arange(n - size) % N)]
    leaves, evidence = world.grow(rng, species)
    named = np.where(rng.random(n) < NOISE, world.mistake[species], species)
    posterior = _share(np.exp(evidence - evidence.max(axis=1, keepdims=True)))
    confused = np.zeros_like(posterior)
    np.add.at(confused.T, world.mistake, posterior.T)
    posterior = (1 - NOISE) * posterior + NOISE * confused

    frame = pd.DataFrame(leaves.table(), columns=FACTS["columns"]["public/test.csv"][1:])
    frame.insert(0, "species", np.array(SPECIES)[named])
    frame.insert(0, "id", rng.permutation(n) + 1)
    (public / "images").mkdir()
    for leaf, outline in zip(frame["id"], leaves.outline, strict=True):
        _draw(rng, outline).save(public / "images" / f"{leaf}.jpg", quality=85)
    train, test = frame.iloc[:size], frame.iloc[size:]
    _write(train, test, public, private)
    oracle = pd.DataFrame(_share(posterior[size:].round(9)), columns=SPECIES)
    oracle.insert(0, "id", test["id"].to_numpy())
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns="species").to_csv(public / "test.csv", index=False)
    one_hot = (test["species"].to_numpy()[:, None] == np.array(SPECIES)).astype(int)
    answers = pd.DataFrame(one_hot, columns=SPECIES)
    answers.insert(0, "id", test["id"].to_numpy())
    answers.to_csv(private / "test.csv", index=False)
    sample = answers.assign(**dict.fromkeys(SPECIES, 1 / N))
    sample.to_csv(public / "sample_submission.csv", index=False)


def _share(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=-1, keepdims=True)


class _Leaves:
    """Leaves as drawn: counts of two histograms, and the outline in 64 directions."""

    def __init__(self, margin: np.ndarray, outline: np.ndarray, texture: np.ndarray) -> None:
        self.margin, self.outline, self.texture = margin, outline, texture

    def table(self) -> np.ndarray:
        """Return the 192 features in the scales of the real ones."""
        histograms = [(part / COUNTS).round(6) for part in (self.margin, self.texture)]
        return np.hstack([histograms[0], (5.6e-4 * self.outline).round(8), histograms[1]])


class _World:
    """Prototypes of the species."""

    def __init__(self) -> None:
        rng = np.random.default_rng(WORLD)
        genera = [name.split("_")[0] for name in SPECIES]
        genus = np.unique(genera, return_inverse=True)[1]
        n_genera = int(genus.max()) + 1

        def prototypes(sparse: float) -> np.ndarray:
            own, common = (
                rng.gamma(sparse, size=(N, BINS)),
                rng.gamma(sparse, size=(n_genera, BINS)),
            )
            return _share((1 - OF_GENUS) * own + OF_GENUS * common[genus] + 0.004)

        def waves() -> np.ndarray:
            own = rng.standard_normal((N, 2, len(WAVES)))
            common = rng.standard_normal((n_genera, 2, len(WAVES)))
            mixed = np.sqrt(1 - OF_GENUS) * own + np.sqrt(OF_GENUS) * common[genus]
            return np.asarray(SHAPE * mixed)

        self.margin, self.texture = prototypes(MARGIN[0]), prototypes(TEXTURE[0])
        self.waves = waves()
        self.size = SIZES[0] * rng.standard_normal(N)
        following = [np.flatnonzero(genus == genus[i]) for i in range(N)]
        self.mistake = np.array(
            [
                mates[(np.searchsorted(mates, i) + 1) % len(mates)]
                if len(mates) > 1
                else (i + 1) % N
                for i, mates in enumerate(following)
            ]
        )

    def grow(self, rng: np.random.Generator, species: np.ndarray) -> tuple[_Leaves, np.ndarray]:
        """Return leaves, and their log likelihood under every species."""
        counts, evidence = [], np.zeros((len(species), N))
        for prototype, near in ((self.margin, MARGIN[1]), (self.texture, TEXTURE[1])):
            alpha = near * prototype
            shares = _share(rng.gamma(alpha[species]) + 1e-12)
            counts.append(rng.multinomial(COUNTS, shares))
            evidence += _log_likelihood(counts[-1], alpha)
        own = LEAF * rng.standard_normal((len(species), 2, len(WAVES)))
        waves = self.waves[species] + own
        size = self.size[species] + SIZES[1] * rng.standard_normal(len(species))
        for i in range(N):
            evidence[:, i] -= 0.5 * np.square((waves - self.waves[i]) / LEAF).sum(axis=(1, 2))
        evidence -= 0.5 * np.square((size[:, None] - self.size) / SIZES[1])

        turn = 2 * np.pi * np.arange(BINS) / BINS
        basis = np.stack([np.cos(np.outer(WAVES, turn)), np.sin(np.outer(WAVES, turn))])
        swing = np.einsum("nck,ckb->nb", waves, basis)
        outline = np.exp(size[:, None] + np.clip(swing, -1.3, 0.9))
        return _Leaves(counts[0], outline, counts[1]), evidence


def _log_likelihood(counts: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return how likely histograms (rows) are under Dirichlet prototypes (columns)."""
    from scipy.special import gammaln

    columns = [gammaln(counts + one).sum(axis=1) - gammaln(one).sum() for one in alpha]
    return np.column_stack(columns)


def _draw(rng: np.random.Generator, outline: np.ndarray) -> Image.Image:
    """Draw a leaf white on black, about a third as large as the real images."""
    turn = 2 * np.pi * (np.arange(BINS) / BINS + 0.75)
    radius = 75 * outline * (1 + 0.012 * rng.standard_normal(BINS))
    points = np.column_stack([0.7 * radius * np.cos(turn), radius * np.sin(turn)])
    points -= points.min(axis=0) - 4
    width, height = np.ceil(points.max(axis=0) + 4).astype(int).tolist()
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return image
