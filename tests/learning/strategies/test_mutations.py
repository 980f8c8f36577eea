"""Bugs planted in the strategies and in the client's optimiser, each of which a test here must notice."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from hansa.core.errors import HansaError
from hansa.learning.optimiser import Optimiser
from hansa.learning.strategies import (
    DiLoCo,
    FedAdagrad,
    FedAdam,
    FedAvgM,
    FedBN,
    FedBuff,
    FedNova,
    FedYogi,
    PartialWidth,
    Scaffold,
    fednova,
)
from hansa.learning.strategies.adaptive import Adaptive
from tests.learning import test_optimiser
from tests.learning.strategies import (
    test_adaptive,
    test_diloco,
    test_fedavgm,
    test_fedbn,
    test_fedbuff,
    test_fednova,
    test_fedprox,
    test_scaffold,
    test_widths,
)
from tests.learning.strategies.quadratic import WHOLE

Check = Callable[[], None]
TWO = test_adaptive.test_two_steps_by_hand
ONE_SITE = test_adaptive.test_with_one_site_and_one_step_of_rate_one_it_is_centralised_adam
CONTROLS = test_scaffold.test_the_servers_control_is_the_mean_of_the_sites
DISCOUNTS = test_fedbuff.test_discounts_are_integers_of_the_inverse_root
COVERED = test_widths.test_every_coordinate_is_the_mean_of_those_who_cover_it
HELD_BACK = test_fedprox.test_sites_are_held_back_to_the_rounds_model_by_mu_times_the_distance
CORRECTED = test_optimiser.test_the_correction_is_added_to_every_gradient
OUTER = test_diloco.test_two_outer_steps_by_hand
INNER = test_diloco.test_the_inner_state_is_begun_anew_or_carried
AWAY = "torch._foreach_sub(self._weights, self._anchor)"
VELOCITY = "np.add(np.multiply(velocity, self.momentum), mean.values)"
ALL = [(0, 1)] * 4
SOME = [(0, 1), (0,), (1,), (0, 1), (1,)]
ADAM, YOGI, ADAGRAD = test_adaptive.BY_HAND


def rounds(cohorts: list[tuple[int, ...]]) -> Check:
    return lambda: test_scaffold.test_rounds_by_hand_with_all_and_with_some_of_the_sites(cohorts)


def nova(**change: float) -> Check:
    return lambda: test_fednova.test_a_round_of_unlike_steps_by_hand(change)


def adamw(local: object) -> Check:
    return lambda: test_optimiser.test_steps_have_the_bits_of_torch_optim(local)


def carried() -> None:
    test_optimiser.test_a_run_goes_on_from_its_moments_with_the_same_bits(replace(WHOLE, optimiser="adam"))


MUTATIONS: list[tuple[object, str, str, str, Check]] = [
    # SCAFFOLD: the correction's sign, both ways round; c left out of what is sent; K or the rate forgotten; the share of clients.
    (Scaffold, "start", "control - own", "own - control", rounds(ALL)),
    (Scaffold, "start", "Start(base.vector, control)", "Start(base.vector, -control)", rounds([(1,), (0,), (1,)])),
    (Scaffold, "finish", "-told[0] - change", "told[0] - change", rounds(SOME)),
    (Scaffold, "finish", "-told[0] - change", "-told[0] + change", rounds(ALL)),
    (Scaffold, "finish", "end.steps * self.local.rate", "self.local.rate", rounds(ALL)),
    (Scaffold, "finish", "end.steps * self.local.rate", "end.steps", rounds(ALL)),
    (Scaffold, "finish", "kept[0] + difference", "difference", rounds(ALL)),
    (Scaffold, "step", "mean.count / self.clients", "1.0", rounds(SOME)),
    (Scaffold, "step", "np.multiply(mean.values[:size], self.rate)", "mean.values[:size]", rounds(ALL)),
    (Scaffold, "finish", "np.clip(", "(lambda values, low, high: values)(", CONTROLS),
    # FedNova: not normalised, not multiplied again, steps counted without momentum or proximal term, one step too many.
    (FedNova, "step", "np.multiply(mean.values[:-1], mean.values[-1])", "mean.values[:-1]", nova()),
    (FedNova, "finish", "/ np.float32(share)", "* np.float32(share)", nova()),
    (fednova, "effective", "float(steps)", "float(steps + 1)", nova()),
    (fednova, "effective", "range(1, steps)", "range(steps)", nova(momentum=0.9)),
    (fednova, "effective", "local.momentum * velocity - pull * place", "local.momentum * velocity", nova(proximal=1.5)),
    (fednova, "effective", "local.momentum * velocity - pull * place", "velocity - pull * place", nova(momentum=0.9)),
    # Adaptive servers: betas swapped, tau forgotten or inside the root, bias correction where there is none, Yogi's sign.
    (Adaptive, "step", "self.beta1), np", "1.0 - self.beta1), np", ONE_SITE),
    (Adaptive, "step", "np.add(np.sqrt(second), self.tau)", "np.sqrt(second)", lambda: TWO(*ADAM)),
    (Adaptive, "step", "np.add(np.sqrt(second), self.tau)", "np.sqrt(second + self.tau)", lambda: TWO(*ADAM)),
    (Adaptive, "step", "np.divide(first,", "np.divide(first / (1 - self.beta1),", lambda: TWO(*ADAM)),
    (Adaptive, "init", "self.tau * self.tau", "0.0", lambda: TWO(*ADAGRAD)),
    (FedAdam, "second", "1.0 - self.beta2", "1.0 - self.beta1", lambda: TWO(*ADAM)),
    (FedYogi, "second", "np.subtract(second, square)", "np.subtract(square, second)", lambda: TWO(*YOGI)),
    (FedAdagrad, "second", "np.add(second, square)", "square", lambda: TWO(*ADAGRAD)),
    # Momentum before or after the mean is added, and Nesterov's look ahead.
    (FedAvgM, "step", VELOCITY, "np.multiply(np.add(velocity, mean.values), self.momentum)", test_fedavgm.test_two_steps_by_hand),
    (DiLoCo, "step", "ahead = np.add(mean.values,", "ahead = np.add(0.0,", OUTER),
    (DiLoCo, "step", "np.multiply(velocity, self.momentum))\n    return", "velocity)\n    return", OUTER),
    (DiLoCo, "start", 'self.inner == "reset" or not kept', "True", lambda: INNER("carry")),
    (DiLoCo, "finish", 'self.inner == "carry"', "False", test_diloco.test_moments_stay_at_the_site),
    # FedBN: everything travels, or the site forgets its own.
    (FedBN, "start", "weights[home] = own", "pass", test_fedbn.test_rounds_by_hand),
    (FedBN, "finish", "(end.weights - base.vector)[~home]", "(end.weights - base.vector)[home]", test_fedbn.test_home_tensors_never_travel),
    # FedBuff: staleness off by one, the root forgotten, changes divided by their discounts after all.
    (FedBuff, "discount", "// (1 + staleness)", "// (2 + staleness)", DISCOUNTS),
    (FedBuff, "discount", "staleness <= self.staleness", "staleness < self.staleness", DISCOUNTS),
    (FedBuff, "step", "mean.weight / (UNIT * mean.count)", "1.0", test_fedbuff.test_a_buffer_by_hand),
    # Partial widths: divided by all sites, or by what a liar says of itself.
    (PartialWidth, "step", "np.maximum(cover, least)", "1.0", COVERED),
    (PartialWidth, "step", "np.maximum(cover, least)", "cover", test_widths.test_a_false_cover_gains_no_more_than_a_site_of_its_own),
    # The client: the proximal term away from the start or towards zero, the correction taken off, clipping after it, decay in the gradient.
    (Optimiser, "step", AWAY, "torch._foreach_sub(self._anchor, self._weights)", HELD_BACK),
    (Optimiser, "step", AWAY, "self._weights", HELD_BACK),
    (Optimiser, "step", "_foreach_add(gradients, self._correction)", "_foreach_sub(gradients, self._correction)", CORRECTED),
    (Optimiser, "step", ".clamp(max=1.0)", "", test_optimiser.test_a_gradient_is_cut_to_its_norm_before_anything_is_added),
    (Optimiser, "step", "(local.warmup + 1)", "local.warmup", test_optimiser.test_the_rate_is_warmed_up),
    (Optimiser, "step", 'local.decay and local.optimiser == "adamw"', "False", adamw(replace(WHOLE, optimiser="adamw", decay=0.1))),
    (Optimiser, "_adam", "1 - local.beta2**steps", "1 - local.beta1**steps", adamw(replace(WHOLE, optimiser="adam"))),
    (Optimiser, "_adam", "self._before + self._steps", "self._steps", carried),
]  # fmt: skip


def planted(owner: object, name: str, old: str, new: str) -> object:
    """The function with one text in it replaced."""
    function = getattr(owner, name)
    function = function.fget if isinstance(function, property) else function
    text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}"
    names: dict[str, object] = {}
    exec(text.replace(old, new), vars(sys.modules[function.__module__]), names)
    return names[name]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m[1]}: {m[2]} -> {m[3]}")
def test_planted_bugs_are_noticed(mutation: tuple[object, str, str, str, Check], monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, old, new, check = mutation
    check()
    monkeypatch.setattr(owner, name, planted(owner, name, old, new))
    with pytest.raises((AssertionError, pytest.fail.Exception, HansaError, RuntimeWarning)):
        check()
