"""CIFAR-10: a small convolutional network, trained for a short time."""

import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = 0
VALIDATION_SHARE = 0.1
EPOCHS = 5
BATCH_SIZE = 32
LEARNING_RATE = 0.02
MOMENTUM = 0.9
WEIGHT_DECAY = 0.0
CHANNELS = 8
MEAN, STD = 0.5, 0.5
FLIP = False
SHIFT = 0

torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def pixels(images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (x - MEAN) / STD


def block(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
    )


def make_model():
    return nn.Sequential(
        block(3, CHANNELS),
        block(CHANNELS, 2 * CHANNELS),
        nn.Flatten(),
        nn.Linear(2 * CHANNELS * 8 * 8, 10),
    )


def augment(x):
    if FLIP and rng.random() < 0.5:
        x = x.flip(3)
    if SHIFT:
        dx, dy = rng.integers(-SHIFT, SHIFT + 1, 2).tolist()
        x = torch.roll(x, (dy, dx), (2, 3))
    return x


def train_one_epoch(model, optimizer, x, y):
    model.train()
    for batch in torch.randperm(len(x)).split(BATCH_SIZE):
        loss = nn.functional.cross_entropy(model(augment(x[batch])), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def predict(model, x):
    model.eval()
    return torch.cat([model(part) for part in x.split(256)]).softmax(1)


x = pixels(np.load("../input/train_images.npy"))
y = torch.from_numpy(np.load("../input/train_labels.npy")).long()
x_test = pixels(np.load("../input/test_images.npy"))
n_train = len(x) - int(len(x) * VALIDATION_SHARE)

model = make_model()
optimizer = torch.optim.SGD(
    model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
)
for epoch in range(EPOCHS):
    train_one_epoch(model, optimizer, x[:n_train], y[:n_train])
    accuracy = (predict(model, x[n_train:]).argmax(1) == y[n_train:]).float().mean()
    print(f"Epoch {epoch + 1}: validation accuracy {accuracy:.4f}")

pd.DataFrame(predict(model, x_test).numpy()).to_csv("submission.csv")
print(f"Wrote {len(x_test)} rows to submission.csv")
