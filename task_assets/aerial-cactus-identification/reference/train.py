"""Aerial cactus: a batch-normalised network on turned and mirrored copies, one-cycle rate."""

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

SEED = 0
VALIDATION_SHARE = 0.1
EPOCHS = 12
BATCH_SIZE = 32
PEAK_LEARNING_RATE = 0.01
WEIGHT_DECAY = 0.02
CHANNELS = 16

torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def load(folder, names):
    """Read images and scale each to mean 0 and deviation 1: light says nothing about cacti."""
    images = [np.asarray(Image.open(f"../input/{folder}/{name}").convert("RGB")) for name in names]
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3)


def block(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    )


def make_model():
    c = CHANNELS
    return nn.Sequential(
        block(3, c),
        block(c, c),
        nn.MaxPool2d(2),
        block(c, 2 * c),
        nn.MaxPool2d(2),
        block(2 * c, 4 * c),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * c, 1),
    )


def eight_ways(x):
    for turns in range(4):
        yield torch.rot90(x, turns, (2, 3))
        yield torch.rot90(x, turns, (2, 3)).flip(3)


def augment(x):
    """Turn or mirror each half of a batch in its own way."""
    halves = [list(eight_ways(half))[rng.integers(8)] for half in x.chunk(2)]
    return torch.cat(halves)


@torch.no_grad()
def predict(model, x):
    """Average over the eight ways to turn and mirror an image."""
    model.eval()
    parts = [sum(model(way) for way in eight_ways(part))[:, 0] / 8 for part in x.split(256)]
    return torch.cat(parts).sigmoid().numpy()


train = pd.read_csv("../input/train.csv")
sample = pd.read_csv("../input/sample_submission.csv")
x, y = load("train", train["id"]), torch.tensor(train["has_cactus"].to_numpy()).float()
x_test = load("test", sample["id"])
n_fit = len(x) - int(len(x) * VALIDATION_SHARE)

model = make_model()
optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
steps = EPOCHS * -(-n_fit // BATCH_SIZE)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps)
for _ in range(EPOCHS):
    model.train()
    for batch in torch.randperm(n_fit).split(BATCH_SIZE):
        loss = nn.functional.binary_cross_entropy_with_logits(
            model(augment(x[batch]))[:, 0], 0.02 + 0.96 * y[batch]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
auc = roc_auc_score(y[n_fit:], predict(model, x[n_fit:]))
print(f"Epoch {EPOCHS}: Validation AUC: {auc:.4f}")

sample["has_cactus"] = predict(model, x_test)
sample.to_csv("submission.csv", index=False)
print(f"Wrote {len(sample)} rows to submission.csv")
