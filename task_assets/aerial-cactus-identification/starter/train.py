"""Aerial cactus: a small convolutional network, trained for a short time."""

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

SEED = 0
VALIDATION_SHARE = 0.2
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

torch.manual_seed(SEED)


def load(folder, names):
    images = [np.asarray(Image.open(f"../input/{folder}/{name}").convert("RGB")) for name in names]
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    if NORMALISE:
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3)
    return x


def make_model():
    layers, n_in, side = [], 3, 32
    for depth in range(LAYERS):
        n_out = CHANNELS * 2**depth
        layers += [nn.Conv2d(n_in, n_out, kernel_size=3, padding=1)]
        layers += [nn.BatchNorm2d(n_out)] if BATCH_NORM else []
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
        n_in, side = n_out, side // 2
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(n_in * side * side, 1)
    )


def with_copies(x, y):
    """Add the images turned by 90, 180 and 270 degrees: from above no side is up."""
    return torch.cat([torch.rot90(x, turns, (2, 3)) for turns in range(4)]), y.repeat(4)


@torch.no_grad()
def predict(model, x):
    model.eval()
    return torch.cat([model(part)[:, 0] for part in x.split(256)]).sigmoid().numpy()


train = pd.read_csv("../input/train.csv")
sample = pd.read_csv("../input/sample_submission.csv")
x, y = load("train", train["id"]), torch.tensor(train["has_cactus"].to_numpy()).float()
x_test = load("test", sample["id"])
n_fit = len(x) - int(len(x) * VALIDATION_SHARE)  # rows are in random order
x_fit, y_fit = with_copies(x[:n_fit], y[:n_fit]) if AUGMENT else (x[:n_fit], y[:n_fit])

model = make_model()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
for epoch in range(EPOCHS):
    model.train()
    for batch in torch.randperm(len(x_fit)).split(BATCH_SIZE):
        output = model(x_fit[batch])[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(output, y_fit[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    auc = roc_auc_score(y[n_fit:], predict(model, x[n_fit:]))
    print(f"Epoch {epoch + 1}: loss {loss.item():.4f}, Validation AUC: {auc:.4f}")

# The network of the last epoch predicts: fitting once more on all rows would double the time.
sample["has_cactus"] = predict(model, x_test)
sample.to_csv("submission.csv", index=False)
print(f"Wrote {len(sample)} rows to submission.csv")
