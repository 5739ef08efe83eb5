"""Whale categorization: the nearest training photos, compared by the pixels of thumbnails."""

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from sklearn.decomposition import PCA

SEED = 0
VALIDATION_SHARE = 0.2
IMAGE_SIZE = 16
NORMALISE = False
CENTRE_CROP = 1.0
N_COMPONENTS = 16
WHITEN = False
COSINE = False
AUGMENT = False
SHIFT = 0.06
NEW_WHALE_RANK = 5


def read(folder, name, shift=0.0):
    """Return a grey thumbnail, twice as wide as high."""
    image = Image.open(f"../input/{folder}/{name}")
    image.draft("L", (8 * IMAGE_SIZE, 4 * IMAGE_SIZE))
    image = ImageOps.equalize(image.convert("L")) if NORMALISE else image.convert("L")
    (width, height), rest = image.size, (1 - CENTRE_CROP) / 2
    box = [width * (rest + shift), height * rest, width * (1 - rest + shift), height * (1 - rest)]
    image = image.crop([round(side) for side in box])
    image = image.resize((2 * IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BOX)
    return np.asarray(image).ravel() / 255


def fit(names, ids):
    """Return the projection and the training photos in it."""
    shifts = [0.0, -SHIFT, SHIFT] if AUGMENT else [0.0]
    X = np.stack([read("train", name, shift) for shift in shifts for name in names])
    pca = PCA(min(N_COMPONENTS, len(X) - 1), whiten=WHITEN, random_state=SEED).fit(X)
    return pca, embed(pca, X), np.tile(ids, len(shifts))


def embed(pca, X):
    Z = pca.transform(X)
    return Z / (np.linalg.norm(Z, axis=1, keepdims=True) + 1e-9) if COSINE else Z


def rank(model, folder, names):
    """Return five different names for each photo, the likeliest first."""
    pca, known, ids = model
    rankings = []
    for z in embed(pca, np.stack([read(folder, name) for name in names])):
        nearest = ids[np.argsort(((known - z) ** 2).sum(axis=1))]
        best = [name for name in dict.fromkeys(nearest) if name != "new_whale"][:5]
        rankings.append([*best[: NEW_WHALE_RANK - 1], "new_whale", *best[NEW_WHALE_RANK - 1 :]][:5])
    return rankings


train = pd.read_csv("../input/train.csv").sample(frac=1, random_state=SEED)
test = pd.read_csv("../input/sample_submission.csv")
names, ids = train["Image"].to_numpy(), train["Id"].to_numpy()
n_fit = len(train) - int(len(train) * VALIDATION_SHARE)

# A whale that occurs in the validation part alone counts as new, as it does in the test.
known = set(ids[:n_fit])
truth = [name if name in known else "new_whale" for name in ids[n_fit:]]
rankings = rank(fit(names[:n_fit], ids[:n_fit]), "train", names[n_fit:])
gains = [1 / (r.index(t) + 1) if t in r else 0.0 for r, t in zip(rankings, truth, strict=True)]
print(f"Validation MAP@5: {np.mean(gains):.4f}")

rankings = rank(fit(names, ids), "test", test["Image"])
test["Id"] = [" ".join(ranking) for ranking in rankings]
test.to_csv("submission.csv", index=False)
print(f"Wrote {len(test)} rows to submission.csv")
