"""Dogs vs. cats: a batch-normalised network on larger thumbnails, mirrored and shifted copies."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.metrics import log_loss
from torch import nn

SEED = 0
VALIDATION_SHARE = 0.1
IMAGE_SIZE = 48
EPOCHS = 20
BATCH_SIZE = 32
PEAK_LEARNING_RATE = 0.008
WEIGHT_DECAY = 0.05
CHANNELS = 16
SHIFT = 5
SMOOTHING = 0.02

torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def load(paths):
    """Read thumbnails and scale each to mean 0 and deviation 1: light says nothing."""
    x = torch.empty(len(paths), 3, IMAGE_SIZE, IMAGE_SIZE)
    for i, path in enumerate(paths):
        image = Image.open(path)
        image.draft("RGB", (2 * IMAGE_SIZE, 2 * IMAGE_SIZE))
        image = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BOX)
        x[i] = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255
    return (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3)


def block(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def make_model():
    c = CHANNELS
    side = IMAGE_SIZE // 16
    return nn.Sequential(
        block(3, c),
        block(c, 2 * c),
        block(2 * c, 4 * c),
        block(4 * c, 4 * c),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(4 * c * side * side, 1),
    )


def augment(x):
    mirrored = torch.from_numpy(rng.random(len(x)) < 0.5)
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    padded = nn.functional.pad(x, [SHIFT] * 4, mode="reflect")
    dx, dy = rng.integers(0, 2 * SHIFT + 1, 2).tolist()
    return padded[:, :, dy : dy + IMAGE_SIZE, dx : dx + IMAGE_SIZE]


@torch.no_grad()
def predict(model, x):
    """Average over a photo and its mirror image, never surer than the labels are."""
    model.eval()
    logits = [(model(part) + model(part.flip(3)))[:, 0] / 2 for part in x.split(256)]
    return torch.cat(logits).sigmoid().double().clamp(SMOOTHING / 2, 1 - SMOOTHING / 2).numpy()


paths = sorted(Path("../input/train").glob("*.jpg"))
paths = [paths[i] for i in rng.permutation(len(paths))]
x, y = load(paths), torch.tensor([float(path.name.startswith("dog")) for path in paths])
n_fit = len(x) - int(len(x) * VALIDATION_SHARE)

model = make_model()
optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
steps = EPOCHS * -(-n_fit // BATCH_SIZE)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=steps)
for _ in range(EPOCHS):
    model.train()
    for batch in torch.randperm(n_fit).split(BATCH_SIZE):
        loss = nn.functional.binary_cross_entropy_with_logits(
            model(augment(x[batch]))[:, 0], SMOOTHING / 2 + (1 - SMOOTHING) * y[batch]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
print(f"Validation log loss: {log_loss(y[n_fit:], predict(model, x[n_fit:])):.4f}")

sample = pd.read_csv("../input/sample_submission.csv")
sample["label"] = predict(model, load([f"../input/test/{name}.jpg" for name in sample["id"]]))
sample.to_csv("submission.csv", index=False)
print(f"Wrote {len(sample)} rows to submission.csv")
