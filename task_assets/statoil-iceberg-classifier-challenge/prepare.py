"""Icebergs and ships: MLE-bench's split of the radar scenes, and a stand-in drawn from six numbers.

A scene of the stand-in is a sea whose brightness falls with the angle of incidence, a bright
body near its middle, and speckle. Ships are longer, narrower and brighter in HH; icebergs
rounder, larger and brighter in HV compared with HH, the more so the steeper the radar looks
down. So shape, both bands, a crop and, beside them, the angle help. The angle is missing for a
share of the ships and for no iceberg, as in the real data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SIDE = 75
ICEBERGS = 753 / 1604
NO_ANGLE = 0.152  # share of ships whose angle is missing
NOISE = 0.02  # share of scenes under the wrong name
CHUNK = 512
FIELDS = ["id", "band_1", "band_2", "inc_angle"]

# Of ships and of icebergs, mean and standard deviation of: log half-length in pixels, log
# length over width, rise over the sea in HH (dB), rise in HH less rise in HV (dB).
BODIES = np.array(
    [
        [[1.50, 0.32], [0.95, 0.28], [22.0, 4.5], [8.8, 2.4]],
        [[1.90, 0.30], [0.45, 0.22], [17.0, 4.5], [5.2, 2.4]],
    ]
)
STEEPNESS = np.array([0.15, -0.60])  # change of the rise in HH per degree of incidence


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random fifth of Kaggle's train.json out, as MLE-bench does.

    MLE-bench packs the public files into 7z archives again; here they are left unpacked.
    """
    from sklearn.model_selection import train_test_split

    scenes = json.loads((raw / "train.json").read_bytes())
    train, test = train_test_split(scenes, test_size=0.2, random_state=0)
    _write(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` scenes to learn from and half as many to tell apart."""
    rng = np.random.default_rng([seed, 0x1CEB])
    scenes, posterior = _scenes(rng, size + max(size // 2, 1))
    test = scenes[size:]
    _write(scenes[:size], test, public, private)
    oracle = pd.DataFrame({"id": [scene["id"] for scene in test]})
    oracle["is_iceberg"] = posterior[size:].round(6)
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(
    train: list[dict[str, Any]], test: list[dict[str, Any]], public: Path, private: Path
) -> None:
    hidden = [{name: scene[name] for name in FIELDS} for scene in test]
    (public / "train.json").write_text(json.dumps(train), encoding="utf-8")
    (public / "test.json").write_text(json.dumps(hidden), encoding="utf-8")
    answers = pd.DataFrame({"id": [scene["id"] for scene in test]})
    answers["is_iceberg"] = [int(scene["is_iceberg"]) for scene in test]
    answers.to_csv(private / "test.csv", index=False)
    sample = answers.assign(is_iceberg=0.5)
    sample.to_csv(public / "sample_submission.csv", index=False)


def _scenes(rng: np.random.Generator, n: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return scenes, and the probability that each goes by the name of iceberg."""
    iceberg = (rng.random(n) < ICEBERGS).astype(int)
    angle = np.clip(39.3 + 3.9 * rng.standard_normal(n), 30.2, 45.95).round(4)
    missing = (iceberg == 0) & (rng.random(n) < NO_ANGLE)
    mean, deviation = BODIES[iceberg, :, 0], BODIES[iceberg, :, 1]
    bodies = mean + deviation * rng.standard_normal(mean.shape)
    bodies[:, 2] += STEEPNESS[iceberg] * (angle - 39)
    posterior = _posterior(bodies, angle)

    wrong = rng.random(n) < NOISE
    posterior = (1 - NOISE) * posterior + NOISE * (1 - posterior)
    named = np.where(wrong, 1 - iceberg, iceberg)
    # What goes by the name of iceberg never lacks its angle, as in the real data.
    missing &= named == 0
    posterior[missing] = 0

    ids = [f"{x:08x}" for x in rng.choice(2**32, n, replace=False)]
    scenes = []
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        bands = _bands(rng, bodies[part], angle[part])
        for i, (one, two) in enumerate(zip(*bands, strict=True), start):
            scene = {"id": ids[i], "band_1": one.tolist(), "band_2": two.tolist()}
            scene["inc_angle"] = "na" if missing[i] else float(angle[i])
            scene["is_iceberg"] = int(named[i])
            scenes.append(scene)
    return scenes, posterior


def _posterior(bodies: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return the probability of an iceberg given the body and an angle that is there."""
    evidence = []
    for kind, prior in ((0, 1 - ICEBERGS), (1, ICEBERGS)):
        mean, deviation = BODIES[kind, :, 0], BODIES[kind, :, 1]
        centred = bodies - mean
        centred[:, 2] -= STEEPNESS[kind] * (angle - 39)
        log = -0.5 * np.square(centred / deviation).sum(axis=1) - np.log(deviation).sum()
        evidence.append(log + np.log(prior * ((1 - NO_ANGLE) if kind == 0 else 1)))
    return np.asarray(1 / (1 + np.exp(evidence[0] - evidence[1])))


def _bands(
    rng: np.random.Generator, bodies: np.ndarray, angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw both bands in dB, scenes x pixels."""
    n = len(bodies)
    half_length, ratio = np.exp(bodies[:, 0]), np.exp(bodies[:, 1])
    column = [x[:, None, None] for x in (half_length, half_length / ratio)]
    turn = rng.uniform(0, np.pi, n)[:, None, None]
    middle = (SIDE - 1) / 2 + rng.normal(0, 1.8, (2, n, 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE]
    y, x = y - middle[0], x - middle[1]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    profile = np.exp(-(np.square(along / column[0]) + np.square(across / column[1])))

    steep = (angle - 39)[:, None, None]
    bands = []
    for sea, slope, weather, rise in (
        (-21.3, -0.45, 1.6, bodies[:, 2]),
        (-26.8, -0.12, 1.0, bodies[:, 2] - bodies[:, 3]),
    ):
        level = sea + slope * steep + weather * rng.standard_normal((n, 1, 1))
        scene = level + np.maximum(rise, 1.0)[:, None, None] * profile + _speckle(rng, n)
        bands.append(scene.reshape(n, -1).round(4))
    return bands[0], bands[1]


def _speckle(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw multi-look speckle in dB, alike in neighbouring pixels as the sensor blurs them."""
    power = rng.gamma(2.0, 0.5, (n, SIDE + 1, SIDE + 1))
    power = (power[:, 1:] + power[:, :-1]) / 2
    power = (power[:, :, 1:] + power[:, :, :-1]) / 2
    return 10 * np.log10(power + 1e-3)
