"""The model and the data of a Flower app."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Logistic regression."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(7, 1)

    def forward(self, x):
        return self.out(x)


def load_data(path, batch_size):
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32)
    rows = TensorDataset(torch.tensor(table[:, :-1]), torch.tensor(table[:, -1:]))
    return DataLoader(rows, batch_size=batch_size, shuffle=True)


def train(net, loader, epochs, lr):
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    net.train()
    running = 0.0
    for _ in range(epochs):
        for features, labels in loader:
            optimizer.zero_grad()
            loss = criterion(net(features), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
    return running / (epochs * len(loader))
