"""Housing prices: MLAgentBench's split of the Ames data, and a stand-in with the same columns.

The stand-in's prices are a product of what a house is worth per part, so errors grow with
the price and models of its logarithm do better; area, quality, age and neighbourhood carry
most of it, the many small columns the rest.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

TARGET = "SalePrice"
FACTS = tomllib.loads(Path(__file__).with_name("task.toml").read_text(encoding="utf-8"))
SPREAD = 0.74  # brings the spread of prices to the real one
NOISE = 0.075  # standard deviation of the logarithm of a price that nothing explains


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Cut Kaggle's train.csv after int(0.8 n) rows, in its own order, as MLAgentBench does."""
    houses = pd.read_csv(raw / "train.csv")
    cut = int(len(houses) * 0.8)
    _write(houses.iloc[:cut], houses.iloc[cut:], public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Make `size` houses to learn from and a quarter as many to predict."""
    rng = np.random.default_rng([seed, 0x40E5E])
    houses, worth = _houses(rng, size + max(size // 4, 1))
    _write(houses.iloc[:size], houses.iloc[size:], public, private)
    oracle = pd.DataFrame({"Id": houses["Id"][size:], TARGET: worth[size:].round(2)})
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    answers = test[["Id", TARGET]]
    answers.to_csv(private / "answers.csv", index=False)
    sample = answers.assign(**{TARGET: train[TARGET].median()})
    sample.to_csv(public / "sample_submission.csv", index=False)


GRADES = ["Po", "Fa", "TA", "Gd", "Ex"]

# Worth of a neighbourhood in log dollars, and its share in 1460 houses.
NEIGHBORHOODS = {
    "MeadowV": (-0.32, 17), "IDOTRR": (-0.30, 37), "BrDale": (-0.27, 16), "OldTown": (-0.22, 113),
    "Edwards": (-0.20, 100), "BrkSide": (-0.17, 58), "Sawyer": (-0.15, 74), "Blueste": (-0.13, 2),
    "SWISU": (-0.12, 25), "NAmes": (-0.11, 225), "NPkVill": (-0.10, 9), "Mitchel": (-0.05, 49),
    "SawyerW": (-0.01, 59), "NWAmes": (0.02, 73), "Gilbert": (0.04, 79), "Blmngtn": (0.06, 17),
    "CollgCr": (0.08, 150), "ClearCr": (0.10, 28), "Crawfor": (0.13, 51), "Somerst": (0.14, 86),
    "Veenker": (0.17, 11), "Timber": (0.19, 38), "NridgHt": (0.28, 77), "NoRidge": (0.32, 41),
    "StoneBr": (0.35, 25),
}  # fmt: skip

# Columns drawn by their shares alone: value -> (count in 1460 houses, worth in log dollars).
PLAIN = {
    "Street": {"Pave": (1454, 0), "Grvl": (6, -0.1)},
    "Alley": {None: (1369, 0), "Grvl": (50, -0.06), "Pave": (41, 0.01)},
    "LotShape": {"Reg": (925, 0), "IR1": (484, 0.01), "IR2": (41, 0.02), "IR3": (10, 0)},
    "LandContour": {"Lvl": (1311, 0), "Bnk": (63, -0.03), "HLS": (50, 0.05), "Low": (36, 0.01)},
    "Utilities": {"AllPub": (1459, 0), "NoSeWa": (1, -0.1)},
    "LotConfig": {"Inside": (1052, 0), "Corner": (263, 0.01), "CulDSac": (94, 0.04),
                  "FR2": (47, -0.02), "FR3": (4, 0)},
    "LandSlope": {"Gtl": (1382, 0), "Mod": (65, 0.01), "Sev": (13, -0.05)},
    "Condition1": {"Norm": (1260, 0), "Feedr": (81, -0.06), "Artery": (48, -0.10),
                   "RRAn": (26, -0.05), "PosN": (19, 0.06), "RRAe": (11, -0.09),
                   "PosA": (8, 0.07), "RRNn": (5, 0), "RRNe": (2, -0.04)},
    "Condition2": {"Norm": (1445, 0), "Feedr": (6, -0.03), "Artery": (2, -0.05), "RRNn": (2, 0),
                   "PosN": (2, 0.05), "PosA": (1, 0.05), "RRAn": (1, 0), "RRAe": (1, 0)},
    "RoofStyle": {"Gable": (1141, 0), "Hip": (286, 0.02), "Flat": (13, -0.01),
                  "Gambrel": (11, -0.02), "Mansard": (7, 0), "Shed": (2, 0)},
    "RoofMatl": {"CompShg": (1434, 0), "Tar&Grv": (11, 0), "WdShngl": (6, 0.05),
                 "WdShake": (5, 0.02), "Metal": (1, 0), "Membran": (1, 0), "Roll": (1, 0),
                 "ClyTile": (1, 0)},
    "Exterior1st": {"VinylSd": (515, 0.01), "HdBoard": (222, -0.02), "MetalSd": (220, 0),
                    "Wd Sdng": (206, -0.02), "Plywood": (108, -0.02), "CemntBd": (61, 0.03),
                    "BrkFace": (50, 0.06), "WdShing": (26, -0.01), "Stucco": (25, -0.02),
                    "AsbShng": (20, -0.04), "BrkComm": (2, -0.05), "Stone": (2, 0.05),
                    "AsphShn": (1, -0.05), "ImStucc": (1, 0), "CBlock": (1, -0.05)},
    "MasVnrType": {"None": (864, 0), "BrkFace": (445, 0.02), "Stone": (128, 0.05),
                   "BrkCmn": (15, -0.01), None: (8, 0)},
    "Foundation": {"PConc": (647, 0.03), "CBlock": (634, 0), "BrkTil": (146, -0.03),
                   "Slab": (24, -0.04), "Stone": (6, 0), "Wood": (3, -0.02)},
    "Heating": {"GasA": (1428, 0), "GasW": (18, 0.04), "Grav": (7, -0.12), "Wall": (4, -0.08),
                "OthW": (2, -0.05), "Floor": (1, -0.1)},
    "CentralAir": {"Y": (1365, 0), "N": (95, -0.08)},
    "Electrical": {"SBrkr": (1334, 0), "FuseA": (94, -0.02), "FuseF": (27, -0.04),
                   "FuseP": (3, -0.06), "Mix": (1, -0.05), None: (1, 0)},
    "Functional": {"Typ": (1360, 0), "Min2": (34, -0.05), "Min1": (31, -0.05), "Mod": (15, -0.1),
                   "Maj1": (14, -0.14), "Maj2": (5, -0.3), "Sev": (1, -0.4)},
    "PavedDrive": {"Y": (1340, 0), "N": (90, -0.03), "P": (30, -0.02)},
    "Fence": {None: (1179, 0), "MnPrv": (157, 0), "GdPrv": (59, 0.01), "GdWo": (54, -0.01),
              "MnWw": (11, -0.01)},
    "MiscFeature": {None: (1406, 0), "Shed": (49, 0.01), "Gar2": (2, 0.05), "Othr": (2, 0),
                    "TenC": (1, 0.05)},
    "SaleType": {"WD": (1267, 0), "New": (122, 0.05), "COD": (43, -0.04), "ConLD": (9, 0.03),
                 "ConLI": (5, 0), "ConLw": (5, 0), "CWD": (4, 0.03), "Oth": (3, 0),
                 "Con": (2, 0.05)},
    "SaleCondition": {"Normal": (1198, 0), "Partial": (125, 0.05), "Abnorml": (101, -0.10),
                      "Family": (20, -0.06), "Alloca": (12, 0), "AdjLand": (4, -0.12)},
}  # fmt: skip

# Rated columns: shares from poor to excellent, and worth of one grade in log dollars.
RATED = {
    "ExterQual": ((0, 14, 906, 488, 52), 0.03), "ExterCond": ((1, 28, 1282, 146, 3), 0.01),
    "BsmtQual": ((0, 35, 649, 618, 121), 0.03), "BsmtCond": ((2, 45, 1311, 65, 0), 0.015),
    "HeatingQC": ((1, 49, 428, 241, 741), 0.015), "KitchenQual": ((0, 39, 735, 586, 100), 0.04),
    "FireplaceQu": ((20, 33, 313, 380, 24), 0.01), "GarageQual": ((3, 48, 1311, 14, 3), 0.01),
    "GarageCond": ((7, 35, 1326, 9, 2), 0.01),
}  # fmt: skip


def _shares(counts: object) -> np.ndarray:
    weights = np.array(list(counts), dtype=float)  # type: ignore[call-overload]
    return weights / weights.sum()


def _by_rank(latent: np.ndarray, counts: object) -> np.ndarray:
    """Turn a latent number into classes 0, 1, ... of given shares, larger into higher."""
    rank = latent.argsort(kind="stable").argsort(kind="stable")
    return np.searchsorted(np.cumsum(_shares(counts)), (rank + 0.5) / len(latent))


def _area(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint(x), low, high).astype(int)


def _houses(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return houses with noisy prices, and what each is worth without the noise."""

    def noisy(signal: np.ndarray, rho: float) -> np.ndarray:
        return rho * signal + np.sqrt(1 - rho**2) * rng.standard_normal(n)

    def some(share: float, values: np.ndarray) -> np.ndarray:
        return np.where(rng.random(n) < share, values, 0).astype(int)

    c: dict[str, object] = {"Id": np.arange(1, n + 1)}
    worth = np.zeros(n)

    # Neighbourhood stands for wealth, wealth for quality and age.
    names = np.array(list(NEIGHBORHOODS))
    value, count = np.array(list(NEIGHBORHOODS.values())).T
    place = rng.choice(len(names), n, p=_shares(count))
    wealth = (value[place] - value[place].mean()) / value.std()
    c["Neighborhood"] = names[place]
    worth += 0.75 * value[place]

    quality = 1 + _by_rank(noisy(wealth, 0.6), (2, 3, 20, 116, 397, 374, 319, 168, 43, 18))
    fine = (quality - 6.1) / 1.38
    condition = 1 + _by_rank(noisy(-fine, 0.1), (1, 5, 25, 57, 821, 252, 205, 72, 22))
    c["OverallQual"], c["OverallCond"] = quality, condition
    worth += 0.085 * (quality - 6) + 0.035 * (condition - 5.5)

    sold = rng.choice(np.arange(2006, 2011), n, p=_shares((314, 329, 304, 338, 175)))
    age = np.clip(np.exp(3.55 - 0.6 * noisy(fine, 0.75) + 0.5 * rng.standard_normal(n)) - 6, 0, 134)
    built = np.clip((sold - age).astype(int), 1872, 2010)
    changed = rng.random(n) < 0.48
    remodelled = np.where(changed, built + rng.random(n) * (sold - built + 1), built).astype(int)
    c["YearBuilt"], c["YrSold"] = built, sold
    c["YearRemodAdd"] = np.clip(remodelled, 1950, 2010)
    worth += -0.0022 * (sold - built) - 0.0012 * (sold - np.clip(remodelled, 1950, 2010))
    c["MoSold"] = rng.choice(
        np.arange(1, 13), n, p=_shares((58, 52, 106, 141, 204, 253, 234, 122, 63, 89, 79, 59))
    )

    # Areas.
    lot = _area(np.exp(9.13 + 0.45 * noisy(wealth, 0.25)), 1300, 215245)
    frontage = np.clip(np.rint(70 * np.exp(0.3 * noisy(np.log(lot / 9200), 0.6))), 21, 313)
    c["LotArea"] = lot
    c["LotFrontage"] = np.where(rng.random(n) < 259 / 1460, np.nan, frontage)
    worth += 0.09 * np.log(lot / 9500)
    first = _area(np.exp(7.0 + 0.30 * noisy(fine, 0.5)), 334, 4692)
    tall = rng.random(n) < 0.43
    second = np.where(tall, _area(first * rng.uniform(0.35, 0.95, n), 110, 2065), 0)
    spoilt = some(0.018, rng.integers(53, 573, n))
    living = first + second + spoilt
    c["1stFlrSF"], c["2ndFlrSF"], c["LowQualFinSF"] = first, second, spoilt
    c["GrLivArea"] = living
    worth += 0.52 * np.log(living / 1460) - 0.0002 * spoilt
    c["HouseStyle"] = np.where(
        tall,
        rng.choice(["2Story", "1.5Fin", "SLvl", "2.5Unf", "2.5Fin"], n,
                   p=_shares((445, 154, 30, 11, 8))),
        rng.choice(["1Story", "SLvl", "SFoyer", "1.5Unf"], n, p=_shares((726, 35, 37, 14))),
    )  # fmt: skip

    cellar = rng.random(n) > 37 / 1460
    basement = np.where(cellar, _area(first * rng.normal(0.93, 0.14, n), 105, 6110), 0)
    finished = cellar & (rng.random(n) < 0.70)
    part1 = np.where(finished, basement * rng.beta(1.7, 1.4, n), 0).astype(int)
    part2 = np.where(finished & (rng.random(n) < 0.16), (basement - part1) * rng.random(n), 0)
    part2 = part2.astype(int)
    c["BsmtFinSF1"], c["BsmtFinSF2"] = part1, part2
    c["BsmtUnfSF"], c["TotalBsmtSF"] = basement - part1 - part2, basement
    worth += 0.00012 * (basement - 1057) + 0.00011 * (part1 - 443)
    kinds = rng.choice(["GLQ", "ALQ", "BLQ", "Rec", "LwQ"], n, p=_shares((418, 220, 148, 133, 74)))
    c["BsmtFinType1"] = np.where(cellar, np.where(part1 > 0, kinds, "Unf"), None)
    worth += 0.03 * ((kinds == "GLQ") & (part1 > 0))
    kinds = rng.choice(["Rec", "LwQ", "BLQ", "ALQ", "GLQ"], n, p=_shares((54, 46, 33, 19, 14)))
    c["BsmtFinType2"] = np.where(cellar, np.where(part2 > 0, kinds, "Unf"), None)
    exposure = _by_rank(noisy(wealth, 0.3), (953, 114, 221, 134))
    c["BsmtExposure"] = np.where(cellar, np.array(["No", "Mn", "Av", "Gd"])[exposure], None)
    worth += 0.02 * np.where(cellar, exposure, 0)

    # Rooms.
    roomy = np.log(living / 1460) / 0.33
    c["FullBath"] = _by_rank(noisy(roomy + fine, 0.8), (9, 650, 768, 33))
    c["HalfBath"] = np.where(tall, _by_rank(rng.random(n), (200, 430, 12)), rng.random(n) < 0.13)
    c["HalfBath"] = np.asarray(c["HalfBath"]).astype(int)
    c["BsmtFullBath"] = np.where(part1 > 0, _by_rank(rng.random(n), (856 - 440, 588, 15, 1)), 0)
    c["BsmtHalfBath"] = _by_rank(rng.random(n), (1378, 80, 2))
    baths = c["FullBath"] + 0.5 * c["HalfBath"] + c["BsmtFullBath"] + 0.5 * c["BsmtHalfBath"]
    worth += 0.035 * (baths - 2.1)
    c["BedroomAbvGr"] = _by_rank(noisy(roomy, 0.6), (6, 50, 358, 804, 213, 21, 7, 0, 1))
    c["KitchenAbvGr"] = _by_rank(rng.random(n), (1, 1392, 65, 2))
    worth -= 0.06 * (np.asarray(c["KitchenAbvGr"]) > 1)
    c["TotRmsAbvGrd"] = 2 + _by_rank(
        noisy(roomy, 0.83), (1, 17, 97, 275, 402, 329, 187, 75, 47, 18, 11, 0, 1)
    )
    fires = _by_rank(noisy(fine + roomy, 0.55), (690, 650, 115, 5))
    c["Fireplaces"] = fires
    worth += 0.035 * fires

    # Garage.
    garage = rng.random(n) > 81 / 1460
    cars = np.where(garage, 1 + _by_rank(noisy(fine + roomy, 0.7), (369, 824, 181, 5)), 0)
    c["GarageCars"] = cars
    garage_area = np.where(garage, _area(cars * 262 + 60 * rng.standard_normal(n), 160, 1418), 0)
    c["GarageArea"] = garage_area
    worth += 0.05 * (cars - 1.77) + 0.00008 * (garage_area - 473)
    later = np.where(rng.random(n) < 0.2, rng.integers(1, 30, n), 0)
    c["GarageYrBlt"] = np.where(garage, np.clip(built + later, 1900, sold), np.nan)
    kinds = rng.choice(["Attchd", "Detchd", "BuiltIn", "Basment", "CarPort", "2Types"], n,
                       p=_shares((870, 387, 88, 19, 9, 6)))  # fmt: skip
    c["GarageType"] = np.where(garage, kinds, None)
    worth += 0.03 * (garage & ((kinds == "Attchd") | (kinds == "BuiltIn")))
    finish = _by_rank(noisy(fine, 0.5), (605, 422, 352))
    c["GarageFinish"] = np.where(garage, np.array(["Unf", "RFn", "Fin"])[finish], None)
    worth += 0.015 * np.where(garage, finish, 0)

    # Outside.
    c["WoodDeckSF"] = some(0.48, _area(rng.gamma(3.0, 65, n), 12, 857))
    c["OpenPorchSF"] = some(0.55, _area(rng.gamma(1.8, 46, n), 4, 547))
    c["EnclosedPorch"] = some(0.14, _area(rng.gamma(4.0, 38, n), 19, 552))
    c["3SsnPorch"] = some(0.016, _area(rng.gamma(5.0, 40, n), 23, 508))
    c["ScreenPorch"] = some(0.08, _area(rng.gamma(5.0, 38, n), 40, 480))
    c["PoolArea"] = some(0.005, rng.integers(480, 739, n))
    c["MiscVal"] = some(0.035, rng.choice([400, 450, 500, 600, 700, 1200, 2000, 15500], n))
    worth += 0.00012 * np.asarray(c["WoodDeckSF"]) + 0.0002 * np.asarray(c["ScreenPorch"])
    pool_grades = rng.choice(["Gd", "Ex", "Fa"], n)
    c["PoolQC"] = np.where(np.asarray(c["PoolArea"]) > 0, pool_grades, None)

    zones = ["RL", "RM", "FV", "RH", "C (all)"]
    old_town = np.isin(c["Neighborhood"], ["OldTown", "IDOTRR", "BrkSide", "MeadowV"])
    zone = np.where(old_town, rng.choice(zones, n, p=_shares((45, 150, 0, 8, 10))),
                    rng.choice(zones, n, p=_shares((1106, 68, 65, 8, 0))))  # fmt: skip
    c["MSZoning"] = zone
    worth += np.select([zone == "C (all)", zone == "RM", zone == "FV"], [-0.25, -0.05, 0.04], 0.0)
    kinds = rng.choice(["1Fam", "TwnhsE", "Duplex", "Twnhs", "2fmCon"], n,
                       p=_shares((1220, 114, 52, 43, 31)))  # fmt: skip
    c["BldgType"] = kinds
    worth += np.select([kinds == "Twnhs", kinds == "Duplex", kinds == "2fmCon"],
                       [-0.12, -0.1, -0.06], 0.0)  # fmt: skip
    single = np.where(
        tall,
        rng.choice([60, 70, 75, 50, 80], n, p=_shares((299, 60, 16, 144, 58))),
        rng.choice([20, 30, 40, 45, 85], n, p=_shares((536, 69, 4, 12, 20))),
    )
    shared = rng.choice([120, 160, 180], n, p=_shares((87, 63, 10)))
    c["MSSubClass"] = np.select(
        [kinds == "Duplex", kinds == "2fmCon", np.isin(kinds, ["TwnhsE", "Twnhs"])],
        [90, 190, shared], single,
    )  # fmt: skip

    for name, levels in PLAIN.items():
        drawn = rng.choice(len(levels), n, p=_shares(count for count, _ in levels.values()))
        c[name] = np.array(list(levels), dtype=object)[drawn]
        worth += np.array([value for _, value in levels.values()])[drawn]
    other = {"CemntBd": "CmentBd", "WdShing": "Wd Shng", "BrkComm": "Brk Cmn"}
    second_layer = pd.Series(c["Exterior1st"]).replace(other)
    c["Exterior2nd"] = np.where(rng.random(n) < 0.12, rng.permutation(second_layer), second_layer)
    veneer = pd.Series(c["MasVnrType"], dtype=object)
    veneer_area = _area(np.exp(5.2 + 0.75 * noisy(fine, 0.3)), 1, 1600)
    c["MasVnrArea"] = np.where(veneer.isna(), np.nan, np.where(veneer == "None", 0, veneer_area))

    there = {"Bsmt": cellar, "Fireplace": fires > 0, "Garage": garage}
    for name, (counts, step) in RATED.items():
        grade = _by_rank(noisy(fine, 0.1 if name.endswith("Cond") else 0.65), counts)
        has = next((mask for part, mask in there.items() if name.startswith(part)), True)
        c[name] = np.where(has, np.array(GRADES)[grade], None)
        worth += step * np.where(has, grade - 2.4, 0)

    worth = 12.02 + SPREAD * (worth - worth.mean())
    price = np.exp(worth + NOISE * rng.standard_t(5, n) / np.sqrt(5 / 3))
    c[TARGET] = np.clip(np.rint(price / 100) * 100, 34900, 755000).astype(int)
    return pd.DataFrame(c)[FACTS["columns"]["public/train.csv"]], np.exp(worth)
