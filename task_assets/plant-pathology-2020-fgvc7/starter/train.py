"""Plant pathology: a small forest on the pixels and the colour histogram of thumbnails."""

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

SEED = 0
VALIDATION_SHARE = 0.25
CLASSES = ["healthy", "multiple_diseases", "rust", "scab"]
IMAGE_SIZE = 48
GRID = 12
HISTOGRAM_BINS = 3
COLOUR_SPACE = "RGB"
CENTRE_CROP = 1.0
NORMALISE = False
AUGMENT = False
MODEL = "forest"
N_TREES = 10
MIN_LEAF = 1
C = 1.0


def read(name):
    """Return an image IMAGE_SIZE pixels wide; draft() decodes no more of a JPEG than that."""
    image = Image.open(f"../input/images/{name}.jpg")
    size = (IMAGE_SIZE, IMAGE_SIZE * 2 // 3)
    image.draft("RGB", size)
    image = image.convert("RGB").resize(size, Image.Resampling.BOX)
    image = ImageOps.crop(image, round(IMAGE_SIZE * (1 - CENTRE_CROP) / 3))
    return ImageOps.autocontrast(image) if NORMALISE else image


def features(image):
    image = image.convert(COLOUR_SPACE)
    grid = np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX)).ravel() / 255
    # How much of each colour there is, wherever it is.
    pixels = np.asarray(image).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=HISTOGRAM_BINS, range=[(0, 256)] * 3)
    return np.concatenate([grid, np.sqrt(counts.ravel() / len(pixels))])


def make_model():
    if MODEL == "forest":
        return RandomForestClassifier(
            n_estimators=N_TREES, min_samples_leaf=MIN_LEAF, random_state=SEED
        )
    return LogisticRegression(C=C, max_iter=100)


def fit(images, classes):
    if AUGMENT:  # the mirrored leaf has the same disease
        images = images + [ImageOps.mirror(image) for image in images]
        classes = np.concatenate([classes, classes])
    return make_model().fit([features(image) for image in images], classes)


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
images = [read(name) for name in train["image_id"]]
classes = train[CLASSES].to_numpy().argmax(axis=1)
n_fit = len(images) - int(len(images) * VALIDATION_SHARE)  # rows are in random order

X_valid = [features(image) for image in images[n_fit:]]
p_valid = fit(images[:n_fit], classes[:n_fit]).predict_proba(X_valid)
auc = roc_auc_score(train[CLASSES][n_fit:], p_valid)
print(f"Validation mean column AUC: {auc:.4f}")

model = fit(images, classes)
p_test = model.predict_proba([features(read(name)) for name in test["image_id"]])
submission = pd.DataFrame(p_test, columns=CLASSES)
submission.insert(0, "image_id", test["image_id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
