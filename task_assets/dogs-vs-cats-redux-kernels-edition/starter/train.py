"""Dogs vs. cats: a small convolutional network on thumbnails, trained for a short time."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.metrics import log_loss
from torch import nn

SEED = 0
VALIDATION_SHARE = 0.2
IMAGE_SIZE = 32
EPOCHS = 4
BATCH_SIZE = 32
LEARNING_RATE = 0.001
WEIGHT_DECAY = 0.0
CHANNELS = 8
LAYERS = 2
DROPOUT = 0.0
BATCH_NORM = False
NORMALISE = False
AUGMENT = False
CLIP = 0.0

torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def load(paths):
    x = torch.empty(len(paths), 3, IMAGE_SIZE, IMAGE_SIZE)
    for i, path in enumerate(paths):
        image = Image.open(path)
        image.draft("RGB", (IMAGE_SIZE, IMAGE_SIZE))  # decode no more of the JPEG than needed
        image = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE))
        x[i] = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255
    if NORMALISE:
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3)
    return x


def make_model():
    layers, n_in, side = [], 3, IMAGE_SIZE
    for depth in range(LAYERS):
        n_out = CHANNELS * 2**depth
        layers += [nn.Conv2d(n_in, n_out, kernel_size=3, padding=1)]
        layers += [nn.BatchNorm2d(n_out)] if BATCH_NORM else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        n_in, side = n_out, side // 2
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(n_in * side * side, 1)
    )


@torch.no_grad()
def predict(model, x):
    """Return how likely each photo shows a dog."""
    model.eval()
    p = torch.cat([model(part)[:, 0] for part in x.split(256)]).sigmoid()
    return p.double().clamp(CLIP, 1 - CLIP).numpy()


paths = sorted(Path("../input/train").glob("*.jpg"))
paths = [paths[i] for i in rng.permutation(len(paths))]
x, y = load(paths), torch.tensor([float(path.name.startswith("dog")) for path in paths])
n_fit = len(x) - int(len(x) * VALIDATION_SHARE)
x_fit, y_fit = x[:n_fit], y[:n_fit]
if AUGMENT:  # the mirror image of a dog is a dog
    x_fit, y_fit = torch.cat([x_fit, x_fit.flip(3)]), y_fit.repeat(2)

model = make_model()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
for epoch in range(EPOCHS):
    model.train()
    for batch in torch.randperm(len(x_fit)).split(BATCH_SIZE):
        loss = nn.functional.binary_cross_entropy_with_logits(
            model(x_fit[batch])[:, 0], y_fit[batch]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss = log_loss(y[n_fit:], predict(model, x[n_fit:]))
    print(f"Epoch {epoch + 1}: Validation log loss: {loss:.4f}")

# The network of the last epoch predicts: fitting once more on all photos would double the time.
sample = pd.read_csv("../input/sample_submission.csv")
sample["label"] = predict(model, load([f"../input/test/{name}.jpg" for name in sample["id"]]))
sample.to_csv("submission.csv", index=False)
print(f"Wrote {len(sample)} rows to submission.csv")
