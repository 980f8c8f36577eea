"""Digits always, MNIST where it lies beside the repository: sixteen nodes whose labels are skewed by Dirichlet(0.5)."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hansa.core.errors import ConfigError, ProtocolError
from hansa.learning.examples import Examples, split
from hansa.learning.local import Placed, evaluate, place
from hansa.learning.strategies.fedadam import FedAdam
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.learning.topology.declaration import Gossip, Grid, Ring, Star, Topology, Tree
from hansa.model.architectures import Architecture, Mlp, Objective, initial
from hansa.model.codec import encode
from hansa.simulation.decentralised import Course, Schedule, Standing, train_over
from hansa.simulation.partition import Dirichlet, assign

CPU = torch.device("cpu")
NAMES = tuple(f"n{place:02d}" for place in range(16))
LOCAL = LocalTraining(rate=0.1, batch=32, steps=10)


@dataclass(frozen=True)
class Problem:
    architecture: Architecture
    rows: dict[str, Placed]
    test: Placed

    @classmethod
    def of(cls, train: Examples, test: Examples, hidden: int) -> Problem:
        parts = assign(Dirichlet(0.5, least=16), len(NAMES), 7, train.labels)
        rows = {name: place(train.take(parts.rows(client)), CPU) for client, name in enumerate(NAMES)}
        return cls(Mlp(train.features.shape[1], (hidden,), 10), rows, place(test, CPU))

    def course(self, seed: int = 11) -> Course:
        return Course(self.architecture, Objective.CATEGORICAL, FedAvg(LOCAL), seed)

    def run(self, topology: Topology, rounds: int, schedule: Schedule | None = None, course: Course | None = None) -> list[Standing]:
        course = course or self.course()
        return list(train_over(topology, course, self.rows, initial(self.architecture, 5), rounds, schedule))

    def judged(self, standing: Standing) -> tuple[float, float]:
        """Loss and accuracy of the mean model on the test rows."""
        found = evaluate(self.architecture, Objective.CATEGORICAL, standing.mean(), self.test)
        return found.loss, found.accuracy or 0.0

    def nodes_loss(self, standing: Standing) -> float:
        """The mean over nodes of the loss of each node's own model."""
        losses = [evaluate(self.architecture, Objective.CATEGORICAL, model, self.test).loss for model in standing.models.values()]
        return sum(losses) / len(losses)


@pytest.fixture(scope="module")
def digits() -> Problem:
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    return Problem.of(*split(Examples((features / 16).astype(np.float32), labels.astype(np.int64)), 0.75, 3), 32)


@pytest.fixture(scope="module")
def mnist(shared: Path) -> Problem:
    folder = shared / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("data set mnist not present (shared/data)")

    def read(kind: str) -> Examples:
        images = gzip.decompress((folder / f"{kind}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{kind}-labels-idx1-ubyte.gz").read_bytes())
        features = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255
        return Examples(features, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))

    return Problem.of(read("train"), read("t10k"), 64)


def churn(rounds: int) -> Schedule:
    """Two of the sixteen leave in the middle of every round, others each time, and come back two rounds later."""
    joins, leaves, present, away = {1: NAMES}, {}, list(NAMES), list[tuple[str, ...]]()
    for round in range(1, rounds + 1):
        if len(away) == 2:
            joins[round] = away.pop(0)
            present += joins[round]
        leaves[round] = (present.pop(0), present.pop(0))
        away.append(leaves[round])
    return Schedule(joins, leaves)


@pytest.mark.parametrize("topology", [Tree(2), Tree(3), Tree(40), Ring()], ids=str)
def test_tree_and_ring_end_each_round_with_the_stars_model_bit_for_bit(digits: Problem, topology: Topology) -> None:
    star, other = digits.run(Star(), 5), digits.run(topology, 5)
    assert [encode(standing.mean()) for standing in other] == [encode(standing.mean()) for standing in star]
    assert len({encode(standing.mean()) for standing in star}) == 5


@pytest.mark.parametrize("topology", [Tree(2), Ring()], ids=str)
def test_so_they_do_when_nodes_join_and_die_in_every_round(digits: Problem, topology: Topology) -> None:
    star, other = digits.run(Star(), 6, churn(6)), digits.run(topology, 6, churn(6))
    assert [encode(standing.mean()) for standing in other] == [encode(standing.mean()) for standing in star]
    assert [standing.roster.present for standing in other] == [standing.roster.present for standing in star]


def test_a_strategy_with_a_server_runs_over_a_tree_as_over_the_star(digits: Problem) -> None:
    course = Course(digits.architecture, Objective.CATEGORICAL, FedAdam(LOCAL, rate=0.01), 11)
    star, tree = digits.run(Star(), 3, course=course), digits.run(Tree(4), 3, course=course)
    assert encode(star[-1].mean()) == encode(tree[-1].mean())
    for topology in (Gossip(), Grid(4, 2)):
        with pytest.raises(ConfigError, match="a server, which gossip and grid do not have"):
            digits.run(topology, 1, course=course)


def test_a_full_grid_gives_every_node_the_same_model_close_to_the_stars(digits: Problem) -> None:
    star, grid = digits.run(Star(), 20)[-1], digits.run(Grid(4, 2), 20)[-1]
    assert len({encode(model) for model in grid.models.values()}) == 1
    assert digits.judged(grid)[0] == pytest.approx(digits.judged(star)[0], rel=0.002)


def test_the_same_run_twice_gives_the_same_models(digits: Problem) -> None:
    for topology in (Gossip(momentum=0.3, rate=0.7, pull=0.9), Grid(4, 2)):
        one, two = digits.run(topology, 3, churn(3))[-1], digits.run(topology, 3, churn(3))[-1]
        assert {name: encode(model) for name, model in one.models.items()} == {name: encode(model) for name, model in two.models.items()}


@pytest.mark.parametrize("declared", [Gossip(closing=10), Gossip(momentum=0.3, rate=0.7, pull=0.9, closing=10)], ids=str)
def test_gossip_on_digits_comes_near_the_star(digits: Problem, declared: Gossip) -> None:
    star, gossip = digits.run(Star(), 80)[-1], digits.run(declared, 80)[-1]
    assert digits.judged(gossip)[0] <= 1.05 * digits.judged(star)[0]
    assert digits.nodes_loss(gossip) <= 1.05 * digits.judged(star)[0]


def test_who_leaves_holds_no_model_and_who_joins_does(digits: Problem) -> None:
    schedule = Schedule({1: NAMES[:9], 3: (NAMES[9],)}, {2: (NAMES[0],)})
    for topology in (Star(), Tree(2), Ring(), Gossip(), Grid(4, 2)):
        found = [tuple(standing.models) for standing in digits.run(topology, 3, schedule)]
        assert found == [NAMES[:9], NAMES[1:9], NAMES[1:10]], topology


def test_a_round_without_nodes_is_refused(digits: Problem) -> None:
    with pytest.raises(ProtocolError, match="nobody is left in round 2"):
        digits.run(Star(), 2, Schedule({1: NAMES[:1]}, {2: NAMES[:1]}))
    with pytest.raises(ProtocolError, match="full"):
        digits.run(Grid(3, 2), 1)


@pytest.mark.slow
@pytest.mark.parametrize("declared", [Gossip(closing=10), Gossip(momentum=0.3, rate=0.7, pull=0.9, closing=10)], ids=str)
def test_gossip_on_mnist_ends_within_three_percent_of_the_stars_loss(mnist: Problem, declared: Gossip) -> None:
    star, gossip = mnist.run(Star(), 200)[-1], mnist.run(declared, 200)[-1]
    loss = mnist.judged(star)[0]
    print(f"star {loss:.4f}; gossip: mean model {mnist.judged(gossip)[0]:.4f}, mean over nodes {mnist.nodes_loss(gossip):.4f}")
    assert mnist.judged(gossip)[0] <= 1.03 * loss
    assert mnist.nodes_loss(gossip) <= 1.03 * loss


@pytest.mark.slow
@pytest.mark.parametrize("topology", [Star(), Gossip(closing=10), Grid(4, 2)], ids=str)
def test_nodes_that_join_and_leave_every_round_cost_less_than_a_point(mnist: Problem, topology: Topology) -> None:
    undisturbed, disturbed = mnist.run(topology, 100)[-1], mnist.run(topology, 100, churn(100))[-1]
    print(f"{topology}: undisturbed {mnist.judged(undisturbed)[1]:.4f}, disturbed {mnist.judged(disturbed)[1]:.4f}")
    assert mnist.judged(disturbed)[1] >= mnist.judged(undisturbed)[1] - 0.01
