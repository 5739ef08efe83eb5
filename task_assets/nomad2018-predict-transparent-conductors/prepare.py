"""Nomad2018: MLE-bench's split of the materials, and made-up oxides with geometry files.

A made-up material has one of the six real space groups, a cell of that group stretched by
the radii of its metals, and atoms evenly spread in the cell, the oxygens shaken. What
decides about its two properties, as on the real materials: the composition, not linearly;
the space group, which suits one metal radius and no other; the volume for each atom beyond
what the composition explains (strain), which no column states, as cells are of different
sizes; and how much the oxygens are shaken, which only the geometry files show.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

ENERGY, GAP = "formation_energy_ev_natom", "bandgap_energy_ev"
METALS = np.array(["Al", "Ga", "In"])
RADII = np.array([0.535, 0.62, 0.80])  # Shannon's ionic radii, in angstrom
NOISE = np.array([0.022, 0.060])  # standard deviations of log(1 + value) nothing explains


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth of Kaggle's train.csv out and number both parts anew, as MLE-bench does.

    A material whose geometry file is missing keeps its row.
    """
    from sklearn.model_selection import train_test_split

    parts = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    renumbered = [part.assign(id=np.arange(1, len(part) + 1)) for part in parts]
    _write(*renumbered, public, private)
    for name, part in zip(("train", "test"), parts, strict=True):
        for number, old in enumerate(part["id"], start=1):
            source = raw / "train" / str(old) / "geometry.xyz"
            if source.is_file():
                folder = public / name / str(number)
                folder.mkdir(parents=True)
                shutil.copyfile(source, folder / "geometry.xyz")


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` materials to learn from and a quarter as many to judge."""
    rng = np.random.default_rng([seed, 0x0C57A])
    n_test = max(size // 4, 1)
    materials, clean, geometries = _materials(rng, size + n_test)
    materials.insert(0, "id", np.r_[1 : size + 1, 1 : n_test + 1])
    _write(materials.iloc[:size], materials.iloc[size:], public, private)
    oracle = pd.DataFrame(clean[size:].round(6), columns=[ENERGY, GAP])
    oracle.insert(0, "id", np.arange(1, n_test + 1))
    oracle.to_csv(private / "oracle.csv", index=False)
    for i, text in enumerate(geometries):
        part, number = ("train", i + 1) if i < size else ("test", i - size + 1)
        folder = public / part / str(number)
        folder.mkdir(parents=True)
        (folder / "geometry.xyz").write_text(text, encoding="ascii")


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
    test.drop(columns=[ENERGY, GAP]).to_csv(public / "test.csv", index=False)
    sample = pd.DataFrame({"id": test["id"], ENERGY: 0.1779, GAP: 1.8892})
    sample.to_csv(public / "sample_submission.csv", index=False)


# Cells: space group, atoms, count in 2400 real materials, edges in angstrom and angles in
# degrees for gallium oxide, and the two generators of a rank-1 lattice of sites: those that
# keep the sites furthest apart, found by trying all.
CELLS = [
    (12, 20, 84, (12.3, 3.05, 5.82), (90.0, 103.8, 90.0), (10, 7)),
    (12, 40, 150, (12.3, 6.1, 5.82), (90.0, 103.8, 90.0), (13, 9)),
    (12, 80, 124, (24.6, 6.1, 5.82), (90.0, 103.8, 90.0), (17, 54)),
    (33, 40, 250, (5.1, 8.75, 9.35), (90.0, 90.0, 90.0), (16, 3)),
    (33, 80, 182, (10.2, 8.75, 9.35), (90.0, 90.0, 90.0), (5, 22)),
    (167, 30, 326, (5.0, 5.0, 13.6), (90.0, 90.0, 120.0), (4, 8)),
    (167, 60, 48, (5.0, 10.0, 13.6), (90.0, 90.0, 120.0), (12, 14)),
    (194, 10, 13, (3.15, 3.15, 12.0), (90.0, 90.0, 120.0), (2, 7)),
    (194, 80, 340, (6.2, 6.2, 23.9), (90.0, 90.0, 120.0), (39, 36)),
    (206, 80, 490, (9.45, 9.45, 9.45), (90.0, 90.0, 90.0), (5, 31)),
    (227, 40, 119, (10.2, 5.9, 14.4), (90.0, 90.0, 30.0), (7, 6)),
    (227, 80, 274, (10.2, 5.9, 14.4), (90.0, 90.0, 90.0), (17, 25)),
]

# By space group: the metal radius it suits, and what it adds to energy and gap in eV.
SUITS = {12: 0.60, 33: 0.62, 167: 0.55, 194: 0.70, 206: 0.78, 227: 0.58}
ADDS = {
    12: (0.02, -0.10), 33: (0.04, 0.00), 167: (0.08, 0.35),
    194: (0.15, -0.50), 206: (0.03, 0.10), 227: (0.12, -0.25),
}  # fmt: skip


def _materials(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Return the table of materials, their properties without noise, and their geometry files."""
    counts = np.array([cell[2] for cell in CELLS])
    kind = rng.choice(len(CELLS), n, p=counts / counts.sum())
    n_atoms = np.array([cell[1] for cell in CELLS])[kind]
    n_metals = n_atoms * 2 // 5
    wish = rng.dirichlet([0.85, 0.75, 0.7], n)
    al = np.rint(wish[:, 0] * n_metals).astype(int)
    ga = np.minimum(np.rint(wish[:, 1] * n_metals).astype(int), n_metals - al)
    metals = np.column_stack([al, ga, n_metals - al - ga])
    share = metals / n_metals[:, None]

    strain = 0.013 * rng.standard_normal(n)
    shake = rng.beta(1.6, 2.2, n)
    radius = share @ RADII
    stretch = (1 + 0.36 * (radius - RADII[1])) * (1 + strain)
    edges = np.array([cell[3] for cell in CELLS])[kind] * stretch[:, None]
    shear = 0.004 * rng.standard_normal((n, 3))
    edges *= np.exp(shear - shear.mean(axis=1, keepdims=True))
    tilt = np.where(rng.random(n) < 0.12, 0.9, 0.005)
    angles = np.array([cell[4] for cell in CELLS])[kind] + tilt[:, None] * rng.normal(size=(n, 3))

    group = np.array([cell[0] for cell in CELLS])[kind]
    clean = _properties(group, share, radius, strain, shake)
    noisy = np.expm1(np.log1p(clean) + NOISE * rng.standard_normal((n, 2)))
    table = pd.DataFrame({"spacegroup": group, "number_of_total_atoms": n_atoms.astype(float)})
    for name, column in zip(("al", "ga", "in"), share.T, strict=True):
        table[f"percent_atom_{name}"] = column.round(4)
    for i in range(3):
        table[f"lattice_vector_{i + 1}_ang"] = edges[:, i].round(4)
    for i, name in enumerate(("alpha", "beta", "gamma")):
        table[f"lattice_angle_{name}_degree"] = angles[:, i].round(4)
    noisy = np.maximum(noisy, [0, 0.0001]).round(4)
    table[ENERGY], table[GAP] = noisy.T
    cells = _vectors(edges, angles)
    geometries = [
        _geometry(rng, cells[i], CELLS[kind[i]][5], metals[i], 0.3 * shake[i]) for i in range(n)
    ]
    return table, clean, geometries


def _properties(
    group: np.ndarray, share: np.ndarray, radius: np.ndarray, strain: np.ndarray, shake: np.ndarray
) -> np.ndarray:
    """Return formation energy and band gap in eV, from what a material is."""
    al, ga, indium = share.T
    adds = np.array([ADDS[g] for g in group])
    misfit = radius - np.array([SUITS[g] for g in group])
    mixing = 0.60 * al * indium + 0.25 * ga * indium + 0.15 * al * ga
    energy = adds[:, 0] + 6.0 * misfit**2 + mixing + 90 * strain**2 + 0.24 * shake - 0.14
    bowing = 1.7 * al * indium + 1.1 * ga * indium + 0.5 * al * ga
    gap = 4.5 * al + 2.0 * ga + 0.9 * indium - bowing + adds[:, 1]
    gap += -18 * strain - 0.8 * (shake - 0.4)
    return np.column_stack([np.maximum(energy, 0), np.maximum(gap, 0.0001)])


def _vectors(edges: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return the lattice vectors (n, 3, 3), as rows, of cells with given edges and angles."""
    cos, sin_gamma = np.cos(np.radians(angles)), np.sin(np.radians(angles[:, 2]))
    vectors = np.zeros((len(edges), 3, 3))
    vectors[:, 0, 0] = 1
    vectors[:, 1, 0], vectors[:, 1, 1] = cos[:, 2], sin_gamma
    vectors[:, 2, 0] = cos[:, 1]
    vectors[:, 2, 1] = (cos[:, 0] - cos[:, 1] * cos[:, 2]) / sin_gamma
    vectors[:, 2, 2] = np.sqrt(1 - vectors[:, 2, 0] ** 2 - vectors[:, 2, 1] ** 2)
    return vectors * edges[:, :, None]


HEAD = """\
#=======================================================
#Created using the Atomic Simulation Environment (ASE)
#=======================================================
"""


def _geometry(
    rng: np.random.Generator,
    vectors: np.ndarray,
    generators: tuple[int, int],
    metals: np.ndarray,
    shake_ang: float,
) -> str:
    """Return the text of a geometry file: metals on two of five sites, in random order."""
    n = metals.sum() * 5 // 2
    site = np.arange(n)
    inner = np.column_stack([site, site * generators[0] % n, site * generators[1] % n]) / n
    places = inner @ vectors
    is_metal = np.isin(site % 5, [0, 2])
    places[~is_metal] += shake_ang * rng.standard_normal((n - is_metal.sum(), 3))
    elements = np.full(n, "O", dtype="<U2")
    elements[is_metal] = rng.permutation(np.repeat(METALS, metals))
    lines = ["lattice_vector {:.16f} {:.16f} {:.16f} ".format(*vector) for vector in vectors]
    order = np.argsort(~is_metal, kind="stable")
    for place, element in zip(places[order], elements[order], strict=True):
        lines.append("atom {:.16f} {:.16f} {:.16f} {}".format(*place, element))
    return HEAD + "\n".join(lines) + "\n"
