"""Attacks of those who do not work, or who pretend to be many: mimics, copies, free riders, sybils."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import FormatError
from hansa.simulation.attacks.attack import Attack, Matrix, Sight, same
from hansa.simulation.attacks.crude import positive


class Mimic(Attack, frozen=True, tag="mimic"):
    """All attackers repeat the honest site that differs most from the mean (Karimireddy et al. 2022, arXiv:2006.09365): under label skew
    a rule then sees many votes for one site's labels."""

    def sent(self, sight: Sight) -> Matrix:
        apart = np.square(sight.honest - sight.honest.mean(axis=0)).sum(axis=1)
        return same(sight.honest[int(apart.argmax())], sight)


class Copy(Attack, frozen=True, tag="copy"):
    """Each attacker sends some honest site's update as its own, in turn: paid for work it did not do."""

    def sent(self, sight: Sight) -> Matrix:
        return sight.honest[np.arange(len(sight.own)) % len(sight.honest)]


class FreeRider(Attack, frozen=True, tag="free-rider"):
    """No training: the last change of the global model, with noise of `noise` times its root mean square (Lin et al. 2019,
    arXiv:1911.12560)."""

    noise: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise FormatError(f"a free rider's noise is {self.noise}; it must be at least 0 and finite")

    def sent(self, sight: Sight) -> Matrix:
        level = self.noise * float(np.sqrt(np.square(sight.previous).mean()))
        return sight.previous + level * np.random.default_rng(sight.seed).standard_normal(sight.own.shape)


class Sybil(Attack, frozen=True, tag="sybil"):
    """One actor under all the attackers' names: its own update times -factor, once a name, with noise so that no two are equal."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        positive("the factor", self.factor)

    def sent(self, sight: Sight) -> Matrix:
        row = np.multiply(sight.own[0], -self.factor)
        level = 1e-3 * float(np.sqrt(np.square(row).mean()))
        noise = np.random.default_rng(sight.seed).standard_normal(sight.own.shape)
        disturbed: Matrix = row + level * noise
        return disturbed
