"""Plant pathology: many random trees on fine colour histograms of the leaf, light taken out."""

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score

SEED = 0
VALIDATION_SHARE = 0.25
CLASSES = ["healthy", "multiple_diseases", "rust", "scab"]
IMAGE_SIZE = 192
N_TREES = 600
TAILS = [0.5, 1, 2, 4, 8, 15, 25, 50, 75, 90, 98]  # percentiles: a few spots show at the ends


def read(name):
    """Return the middle of an image, as hue, saturation and light, and as shares of the colours."""
    image = Image.open(f"../input/images/{name}.jpg")
    size = (IMAGE_SIZE, IMAGE_SIZE * 2 // 3)
    image.draft("RGB", size)
    image = image.convert("RGB").resize(size, Image.Resampling.BOX)
    width, height = size
    image = image.crop((width // 5, height // 4, width - width // 5, height - height // 4))
    rgb = np.asarray(image).reshape(-1, 3) + 1.0
    hsv = np.asarray(image.convert("HSV")).reshape(-1, 3)
    return rgb, hsv


def features(name):
    rgb, hsv = read(name)
    # Ratios of colours do not change with the light; nor do they against the leaf's median.
    red, blue = np.log(rgb[:, 0] / rgb[:, 1]), np.log(rgb[:, 2] / rgb[:, 1])
    light = np.log(rgb.sum(axis=1))
    relative = [red - np.median(red), blue - np.median(blue), light - np.median(light)]
    parts = [np.percentile(value, [*TAILS, 99, 99.5]) for value in (red, blue, *relative)]
    parts.append([(relative[0] > limit).mean() for limit in (0.1, 0.2, 0.3, 0.45, 0.6)])
    joint, *_ = np.histogram2d(
        np.clip(relative[0], -0.4, 0.79), np.clip(relative[2], -0.6, 0.59), bins=(12, 6),
        range=((-0.4, 0.8), (-0.6, 0.6)),
    )  # fmt: skip
    parts.append(np.sqrt(joint.ravel() / len(red)))
    parts.append([hsv[:, 1].mean(), hsv[:, 0].std()])
    return np.concatenate(parts)


def make_model():
    return ExtraTreesClassifier(
        n_estimators=N_TREES, min_samples_leaf=2, max_features=0.3, random_state=SEED
    )


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
X = np.stack([features(name) for name in train["image_id"]])
X_test = np.stack([features(name) for name in test["image_id"]])
y = train[CLASSES].to_numpy().argmax(axis=1)
n_fit = len(X) - int(len(X) * VALIDATION_SHARE)  # rows are in random order

p_valid = make_model().fit(X[:n_fit], y[:n_fit]).predict_proba(X[n_fit:])
print(f"Validation mean column AUC: {roc_auc_score(train[CLASSES][n_fit:], p_valid):.4f}")

submission = pd.DataFrame(make_model().fit(X, y).predict_proba(X_test), columns=CLASSES)
submission.insert(0, "image_id", test["image_id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
