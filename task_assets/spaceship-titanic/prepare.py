"""Spaceship Titanic: MLAgentBench's split, and a stand-in voyage with the same records.

What the stand-in has in common with the real voyage, with effects of about the real size:
sleepers are billed nothing and mostly transported, those from Earth less so; bills of the
spa, the room service and the VR deck speak against it and those of the food court and the
mall for it, nearly in proportion; children are
billed nothing; the side and deck of the cabin, the destination and the size of the group
matter a little. A group shares planet and side and mostly cabin, destination and surname,
so that damaged cells can be filled in. The label of each passenger is drawn, as no record
settles what became of them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

TARGET = "Transported"
FACTS = tomllib.loads(Path(__file__).with_name("task.toml").read_text(encoding="utf-8"))
BILLS = ["RoomService", "FoodCourt", "ShoppingMall", "Spa", "VRDeck"]
PLANETS = ["Earth", "Europa", "Mars"]
DESTINATIONS = ["TRAPPIST-1e", "55 Cancri e", "PSO J318.5-22"]
CLEAR = 1.4  # how much further from a toss-up the stand-in's fates are than the real ones


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Cut Kaggle's train.csv after int(0.8 n) rows, in its own order, as MLAgentBench does."""
    passengers = pd.read_csv(raw / "train.csv")
    cut = int(len(passengers) * 0.8)
    _write(passengers.iloc[:cut], passengers.iloc[cut:], public, private)


def prepare_as_mle_bench(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth out instead, as MLE-bench does, in its files' names and bytes.

    The answers in the columns of a submission, which we grade by, lie beside its test.csv.
    """
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    _write(train, test, public, private)
    test.to_csv(private / "test.csv", index=False)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write the records of `size` passengers to learn from and of a quarter as many to judge."""
    rng = np.random.default_rng([seed, 0x5BACE])
    passengers, likely = _passengers(rng, size + max(size // 4, 1))
    _write(passengers.iloc[:size], passengers.iloc[size:], public, private)
    oracle = pd.DataFrame({"PassengerId": passengers["PassengerId"], TARGET: likely})
    oracle[size:].to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    answers = test[["PassengerId", TARGET]]
    answers.to_csv(private / "answers.csv", index=False)
    # Kaggle's own sample lists the passengers of Kaggle's test set, which is not used.
    answers.assign(**{TARGET: False}).to_csv(public / "sample_submission.csv", index=False)


# By planet (rows) and what it is the share of (columns), counted in the real records.
PLANET_SHARES = np.array([0.55, 0.24, 0.21])
GROUP_SHARES = np.array([4805, 841, 340, 103, 53, 29, 33, 13]) / 6217
DECKS = np.array(list("ABCDEFGT"))
DECK_SHARES = np.array([
    [0, 0, 0, 0, 395, 1614, 2498, 0],
    [252, 766, 734, 186, 128, 0, 0, 4],
    [0, 0, 0, 282, 330, 1110, 0, 0],
]).astype(float)  # fmt: skip
DESTINATION_SHARES = np.array([[3101, 690, 712], [1189, 886, 19], [1475, 193, 49]]).astype(float)
SLEEP_SHARES = np.array([0.31, 0.44, 0.39])
VIP_SHARES = np.array([0.0, 0.063, 0.037])
AGE_MEANS = np.array([26.0, 34.4, 29.3])

# A bill of someone awake, in the order of BILLS: share of zeros, mean and spread of its logarithm.
BILL_ZEROS = np.array([
    [0.43, 0.42, 0.42, 0.42, 0.41],
    [0.65, 0.05, 0.66, 0.11, 0.11],
    [0.05, 0.70, 0.12, 0.48, 0.69],
])  # fmt: skip
BILL_LOGS = np.array([
    [4.6, 4.6, 4.5, 4.6, 4.5],
    [4.3, 7.0, 4.6, 6.1, 6.1],
    [6.2, 4.0, 5.7, 4.6, 4.0],
])  # fmt: skip
BILL_SPREADS = np.array([1.8, 1.5, 1.6, 1.7, 1.7])
MOST_BILLED = np.array([14327, 29813, 23492, 22408, 24133])

# Log odds of being transported.
OF_BILLS = np.array([-0.0080, 0.0040, 0.0052, -0.0080, -0.0080])  # for each unit of bill ** 0.75
OF_DECK_ASLEEP = np.array([2.8, 4.5, 4.5, 3.6, 0.5, 3.2, 0.7, 0.0])
OF_DECK_AWAKE = np.array([-0.3, 0.3, 0.3, -0.1, -0.35, 0.05, 0.1, -0.5])
OF_DESTINATION = np.array([-0.1, 0.35, 0.0])


def _passengers(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return damaged records with drawn labels, and each passenger's likelier fate."""
    group, number, members = _groups(rng, n)
    n_groups = group[-1] + 1
    planet = rng.choice(3, n_groups, p=PLANET_SHARES)[group]
    starboard = (rng.random(n_groups) < 0.505)[group]
    home = _by_row(rng, DESTINATION_SHARES, planet)
    # The first of a group decides for three in four of the others.
    follows = (number > 0) & (rng.random(n) < 0.75)
    leader = np.where(follows, np.searchsorted(group, group), np.arange(n))
    destination = home[leader]
    asleep = rng.random(n) < SLEEP_SHARES[planet]
    deck = _by_row(rng, DECK_SHARES, planet)[leader]
    cabin = _cabin_numbers(deck, starboard, leader)

    age = rng.gamma(4.2, 1.1 * AGE_MEANS[planet] / 4.2).astype(int)
    child = rng.random(n) < np.where(members > 1, 0.12, 0.03)
    age = np.clip(np.where(child, rng.integers(0, 13, n), age), 0, 79)
    vip = ~asleep & (age > 17) & (rng.random(n) < VIP_SHARES[planet] * 2.4)

    bills = np.exp(BILL_LOGS[planet] + BILL_SPREADS * rng.standard_normal((n, 5)))
    bills = np.where(vip[:, None], 2 * bills, bills)
    bills = np.where(rng.random((n, 5)) < BILL_ZEROS[planet], 0, np.rint(bills))
    bills = np.minimum(bills, MOST_BILLED)
    bills[asleep | (age < 13)] = 0

    odds = np.where(asleep, OF_DECK_ASLEEP[deck], OF_DECK_AWAKE[deck] - 0.35)
    odds += bills**0.75 @ OF_BILLS + OF_DESTINATION[destination]
    odds += np.where(starboard, 0.25, -0.25) + 0.18 * (np.minimum(members, 4) - 1.7)
    odds += np.where(~asleep & (age < 13), 0.9 + 0.06 * (6 - age), 0) - 0.3 * vip
    odds *= CLEAR
    fate = rng.random(n) < 1 / (1 + np.exp(-odds))

    sides = np.where(starboard, "S", "P")
    records = pd.DataFrame({
        "PassengerId": [f"{g + 1:04d}_{i + 1:02d}" for g, i in zip(group, number, strict=True)],
        "HomePlanet": np.array(PLANETS)[planet],
        "CryoSleep": asleep,
        "Cabin": [f"{d}/{c}/{s}" for d, c, s in zip(DECKS[deck], cabin, sides, strict=True)],
        "Destination": np.array(DESTINATIONS)[destination],
        "Age": age.astype(float),
        "VIP": vip,
        **dict(zip(BILLS, bills.T, strict=True)),
        "Name": _names(rng, planet, leader),
        TARGET: fate,
    })  # fmt: skip
    billed = bills.sum(axis=1) > 0
    for column in FACTS["columns"]["public/train.csv"][1:-1]:
        lost = rng.random(n) < 0.0225
        if column == "Name":
            # Records without bills or a name could be alike.
            lost = billed & (rng.random(n) < 0.0225 / billed.mean())
        records[column] = records[column].astype(object).where(~lost, None)
    return records, odds > 0


def _groups(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each passenger the group, the number in it from 0, and how many it has."""
    sizes = 1 + rng.choice(8, n, p=GROUP_SHARES)
    group = np.repeat(np.arange(n), sizes)[:n]
    number = np.arange(n) - np.searchsorted(group, group)
    return group, number, np.bincount(group)[group]


def _by_row(rng: np.random.Generator, shares: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Draw a column for each of `row`, by the shares in that row of a table."""
    upper = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    return (rng.random(len(row))[:, None] > upper[row]).sum(axis=1)


def _cabin_numbers(deck: np.ndarray, starboard: np.ndarray, leader: np.ndarray) -> np.ndarray:
    """Give cabins of a deck and side numbers in the order of boarding; followers share one."""
    berth = pd.Series(leader == np.arange(len(leader)))
    count = berth.groupby([deck, starboard]).cumsum().to_numpy() - 1
    return count[leader]


SYLLABLES = [
    sounds.split()
    for sounds in (
        "an be ca del er fra gor hol il jen kel lin mar nor or pat quin ros sal tam wen yor",
        "ax bre cep dia er fa gri hae il jul kya lo mir nul oph pra rae scha tar um vos zub",
        "ap bon chur dro ek fal gub hur irk jog kob lak mag nup oz pluk rog stok tun ux woz zir",
    )
]


def _names(rng: np.random.Generator, planet: np.ndarray, leader: np.ndarray) -> list[str]:
    """Make first names, and surnames that those who follow a leader share."""
    draws = rng.integers(0, 22, (len(planet), 5))
    firsts = ["".join(SYLLABLES[p][i] for i in d[:2]) for p, d in zip(planet, draws, strict=True)]
    lasts = ["".join(SYLLABLES[p][i] for i in d[2:]) for p, d in zip(planet, draws, strict=True)]
    return [f"{first.title()} {lasts[k].title()}" for first, k in zip(firsts, leader, strict=True)]
