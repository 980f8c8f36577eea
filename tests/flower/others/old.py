"""An app of Flower's older kind: a NumPyClient, which knows its parameters by their order alone."""

import torch
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import Context


class Client(NumPyClient):
    def __init__(self) -> None:
        self.net = torch.nn.Linear(7, 1)

    def fit(self, parameters, config):
        state = {name: torch.tensor(value) for name, value in zip(self.net.state_dict(), parameters, strict=True)}
        self.net.load_state_dict(state)
        with torch.no_grad():
            self.net.weight += config["lr"]
            self.net.bias -= 1.0
        return [value.numpy() for value in self.net.state_dict().values()], 24, {"loss": 0.5}


def client_fn(context: Context):
    return Client().to_client()


app = ClientApp(client_fn=client_fn)
