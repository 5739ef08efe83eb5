"""ogbn-arxiv: OGB's split by year without its loaders, and a made-up graph of citations.

The public layout is ours: arrays in .npy files and tables in .csv files, since OGB's own
objects are pickles and hold the labels of all nodes.

The made-up papers have a subject area, a topic within it and a year. Features are noisy
mixtures of a direction of the area and one of the topic. A paper cites older ones, mostly
of its own area and topic, popular and recent ones more often. So the average over citing
and cited papers tells much more than a paper's own features, over two steps more than over
one, and the areas of labelled papers nearby more again; edges matter in both directions.
Areas grow and shrink over the years and their directions drift, so the newest labelled
papers are worth most, as in the real graph.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

N_AREAS, N_FEATURES = 40, 128
N_TOPICS = 4  # in each area
CITED = 7.0  # mean papers cited by a paper
SAME_AREA, SAME_TOPIC = 0.80, 0.42  # shares of citations that stay in the area, in the topic
SIGNAL = 0.25  # length of an area's direction, relative to the noise
NOISE = 0.13  # share of papers filed under a neighbouring area


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Lay OGB's graph and its split by year out as plain files."""
    table = {
        name: pd.read_csv(raw / f"{name}.csv.gz", header=None).to_numpy()
        for name in ("node-feat", "edge", "node-label", "node_year", "train", "valid", "test")
    }
    _write(
        table["node-feat"],
        table["edge"],
        table["node_year"][:, 0],
        table["node-label"][:, 0],
        {name: table[name][:, 0] for name in ("train", "valid", "test")},
        public,
        private,
    )


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write a graph with `size` papers to learn from, a third as many of 2018, half since."""
    rng = np.random.default_rng([seed, 0xA2C1F])
    n = size + size // 3 + max(size // 2, 1)
    features, edges, year, area, filed = _papers(rng, n, size)
    parts = {
        "train": np.flatnonzero(year <= 2017),
        "valid": np.flatnonzero(year == 2018),
        "test": np.flatnonzero(year >= 2019),
    }
    _write(features, edges, year, filed, parts, public, private)
    oracle = pd.DataFrame({"0": area[parts["test"]]})
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(
    features: np.ndarray,
    edges: np.ndarray,
    year: np.ndarray,
    label: np.ndarray,
    parts: dict[str, np.ndarray],
    public: Path,
    private: Path,
) -> None:
    np.save(public / "node_features.npy", features.astype(np.float32))
    np.save(public / "edges.npy", edges.astype(np.int64))
    pd.DataFrame({"year": year}).to_csv(public / "node_year.csv", index=False)
    for name in ("train", "valid"):
        nodes = pd.DataFrame({"node": parts[name], "label": label[parts[name]]})
        nodes.to_csv(public / f"{name}_nodes.csv", index=False)
    pd.DataFrame({"node": parts["test"]}).to_csv(public / "test_nodes.csv", index=False)
    answers = pd.DataFrame({"0": label[parts["test"]]})
    answers.to_csv(private / "answers.csv", index=False)
    answers.assign(**{"0": 0}).to_csv(public / "sample_submission.csv", index=False)


def _papers(
    rng: np.random.Generator, n: int, n_old: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return features, citations, years, true areas, and the areas papers are filed under.

    Nodes are numbered at random, not by year.
    """
    age_rank = np.linspace(0, 1, n_old)
    old = 2007 + np.floor(11 * age_rank**0.6 * 0.9999).astype(int)
    n_2018 = n_old // 3
    time = np.r_[old, np.full(n_2018, 2018), np.full(n - n_old - n_2018, 2019)]
    time[n_old + n_2018 :] += rng.random(n - n_old - n_2018) < 0.12

    # Shares of areas are very uneven and drift with the years.
    size = rng.permutation(1 / (np.arange(N_AREAS) + 2.0) ** 0.9)
    growth = 0.10 * rng.standard_normal(N_AREAS)
    shares = size * np.exp(growth * (time[:, None] - 2014))
    area = _draw(rng, shares)
    topic = area * N_TOPICS + rng.integers(0, N_TOPICS, n)
    features = _features(rng, area, topic, time)
    edges = _citations(rng, area, topic, time)

    # Neighbouring areas are hard to tell apart for the authors too.
    wrong = rng.random(n) < NOISE
    filed = np.where(wrong, (area + rng.choice([-1, 1], n)) % N_AREAS, area)
    number = rng.permutation(n)
    place = np.argsort(number)
    return features[place], number[edges], time[place], area[place], filed[place]


def _draw(rng: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """Draw a column for each row, by the shares in the row."""
    upper = np.cumsum(shares, axis=1)
    return (rng.random((len(shares), 1)) * upper[:, -1:] > upper).sum(axis=1)


def _features(
    rng: np.random.Generator, area: np.ndarray, topic: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Return the area's and topic's directions under noise, with the real spread and mean."""
    areas = rng.standard_normal((N_AREAS, N_FEATURES))
    topics = rng.standard_normal((N_AREAS * N_TOPICS, N_FEATURES))
    drift = rng.standard_normal((N_AREAS, N_FEATURES))
    x = areas[area] + 0.7 * topics[topic]
    x += 0.045 * (time[:, None] - 2014) * drift[area]
    x = SIGNAL * x + rng.standard_normal((len(area), N_FEATURES))
    return 0.13 * x / np.sqrt(1 + 1.5 * SIGNAL**2) + 0.1 * rng.standard_normal(N_FEATURES)


def _citations(
    rng: np.random.Generator, area: np.ndarray, topic: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Return rows (citing, cited) of papers sorted by time; each cites earlier ones."""
    n = len(area)
    n_cited = np.minimum(rng.geometric(1 / CITED, n), 40)
    citing = np.repeat(np.arange(n), n_cited)
    kind = rng.random(len(citing))
    edges = []
    for group, keep in (
        (topic, kind < SAME_TOPIC),
        (area, (kind >= SAME_TOPIC) & (kind < SAME_AREA)),
        (np.zeros(n, dtype=int), kind >= SAME_AREA),
    ):
        # Papers of a group in the order of time; the past of each is a prefix of it.
        order = np.argsort(group, kind="stable")
        start = np.searchsorted(group[order], group)
        rank = np.empty(n, dtype=int)
        rank[order] = np.arange(n)
        past = (rank - start)[citing]
        chosen = keep & (past > 0)
        # Recent papers are preferred, and one in sixteen is popular.
        place = np.floor(past * rng.beta(1.6, 0.9, len(citing))).astype(int)
        place -= np.where(rng.random(len(citing)) < 0.25, place % 16, 0)
        cited = order[np.minimum(start[citing] + place, n - 1)]
        edges.append(np.column_stack([citing, cited])[chosen])
    return np.unique(np.concatenate(edges), axis=0)
