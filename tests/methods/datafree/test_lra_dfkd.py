"""LRA: the algebra of its update, its special cases, and its bookkeeping."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

import methods.datafree.lra_dfkd as module
from bench import Skip
from methods.datafree.adv_bn import adv_bn
from methods.datafree.dafl import dafl
from methods.datafree.dfad import dfad
from methods.datafree.lra_dfkd import lra_dfkd, retain_while_acquiring
from methods.distillation.losses import distillation_kl

Pair = tuple[Tensor, Tensor]
DIFFERENCES = pytest.mark.parametrize("difference", [l1_loss, partial(distillation_kl, temperature=4.0)])
HOSTS = pytest.mark.parametrize(("name", "host"), [("adv-bn", adv_bn), ("dafl", dafl), ("dfad", dfad)])


@pytest.fixture
def problem() -> tuple[nn.Module, Pair, Pair]:
    """A two-layer network in float64, and (input, target) pairs, new and old."""
    draws = torch.Generator().manual_seed(3)
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.7, generator=draws)
    x, y = torch.randn(2, 12, 4, generator=draws).double(), torch.randn(2, 12, 3, generator=draws).double()
    return network, (x[0], y[0]), (x[1], y[1])


def gradient(loss: Tensor, network: nn.Module, **options) -> Tensor:
    parts = torch.autograd.grad(loss, list(network.parameters()), **options)
    return torch.cat([p.flatten() for p in parts])


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Bit for bit, buffers included."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@DIFFERENCES
def test_the_update_rewards_aligned_gradients_to_first_order(problem, difference):
    """grad = grad L_acq + grad L_ret - alpha * grad <grad L_acq, grad L_ret> + O(alpha^2)."""
    network, new, old = problem

    def error(alpha: float) -> float:
        acquire = difference(network(new[0]), new[1])
        retain = difference(network(old[0]), old[1])
        slopes = [gradient(loss, network, create_graph=True) for loss in (acquire, retain)]
        first_order = slopes[0] + slopes[1] - alpha * gradient(slopes[0] @ slopes[1], network)
        exact = gradient(retain_while_acquiring(network, new, old, alpha, difference), network)
        return float((exact - first_order).detach().norm())

    assert error(1e-3) < 2e-6
    assert error(2e-3) / error(1e-3) == pytest.approx(4, rel=0.05)
    alignment = gradient(retain_while_acquiring(network, new, old, 1e-3, difference), network)
    without = gradient(retain_while_acquiring(network, new, old, 0.0, difference), network)
    assert float((alignment - without).detach().norm()) > 1e-4  # a first-order shortcut would leave no such term


def test_the_gradient_goes_through_the_inner_step(problem):
    """Against central differences of the loss itself, at a step that is not small."""
    network, new, old = problem
    exact = gradient(retain_while_acquiring(network, new, old, 0.3), network)
    [direction] = torch.nn.functional.normalize(torch.randn(1, len(exact), generator=torch.Generator().manual_seed(1)))

    def shifted(by: float) -> float:
        twin = copy.deepcopy(network)
        vector = nn.utils.parameters_to_vector(twin.parameters()) + by * direction
        nn.utils.vector_to_parameters(vector.detach(), twin.parameters())
        return float(retain_while_acquiring(twin, new, old, 0.3).detach())

    slope = (shifted(1e-6) - shifted(-1e-6)) / 2e-6
    assert float(exact @ direction.double()) == pytest.approx(slope, rel=1e-5)


@DIFFERENCES
def test_without_an_inner_step_it_is_joint_replay(trained, untrained, difference):
    """Bit for bit, on a network with BatchNorm; and the limit of small steps is the same."""
    x, t = torch.rand(2, 8, 1, 8, 8, generator=torch.Generator().manual_seed(5)), torch.randn(2, 8, 10)
    network = untrained(4).requires_grad_(True).train()
    plain, small = copy.deepcopy(network), copy.deepcopy(network)
    got = gradient(retain_while_acquiring(network, (x[0], t[0]), (x[1], t[1]), 0.0, difference), network)
    expected = gradient(difference(plain(x[0]), t[0]) + difference(plain(x[1]), t[1]), plain)
    assert torch.equal(got, expected)
    tiny = gradient(retain_while_acquiring(small, (x[0], t[0]), (x[1], t[1]), 1e-30, difference), small)
    assert torch.equal(got, tiny)


def test_batchnorm_sees_new_images_once_and_remembered_ones_never():
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    twin = copy.deepcopy(network)
    new, old = torch.randn(2, 8, 2), torch.randn(2, 8, 2) + 5
    retain_while_acquiring(network, (new[0], new[1]), (old[0], old[1]), 0.1)
    twin(new[0])
    torch.testing.assert_close(network[0].running_mean, twin[0].running_mean)
    assert int(network[0].num_batches_tracked) == 1


@HOSTS
def test_without_an_inner_step_a_whole_run_is_plain_replay(trained, make_task, monkeypatch, name, host):
    """Against an update that adds the two losses, and knows no inner step; bit for bit."""

    def replay(student: nn.Module, new: Pair, old: Pair, alpha: float, difference: module.Difference) -> Tensor:
        acquire = difference(student(new[0]), new[1])
        norms = [m for m in student.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:  # remembered images leave no trace in the statistics
            norm.track_running_stats = False
        retain = difference(student(old[0]), old[1])
        for norm in norms:
            norm.track_running_stats = True
        return acquire + retain

    run = partial(lra_dfkd, host=name, period=2, ngf=2)
    ours, looking_ahead = (run(make_task(trained, steps=7), alpha=a) for a in (0.0, 0.1))
    monkeypatch.setattr(module, "retain_while_acquiring", replay)
    assert equal(ours, run(make_task(trained, steps=7), alpha=0.0))
    assert not equal(ours, looking_ahead)


@HOSTS
def test_before_anything_is_remembered_it_is_its_host(trained, make_task, monkeypatch, name, host):
    """Bit for bit, over steps of the generator too: so the host's defaults are the host's."""
    monkeypatch.setattr(module.ReplayMemory, "add", lambda *_: None)
    monkeypatch.setattr(module.Online, "images", _without_the_remembered(module.Online.images))
    lra = lra_dfkd(make_task(trained, steps=7), host=name, replay=0.25, ngf=2)
    monkeypatch.undo()
    assert equal(lra, host(make_task(trained, steps=7), ngf=2))


def _without_the_remembered(images):
    """Images for the memory (a quarter of the batch of 16) are not drawn, so that both runs draw the same noise."""
    return lambda self, count: torch.zeros(4, 1, 8, 8) if count == 4 else images(self, count)


@HOSTS
def test_batches_are_of_the_boards_size_and_the_memory_fills_on_time(trained, make_task, monkeypatch, name, host):
    sizes, memories = [], []

    def noted(student: nn.Module, new: Pair, old: Pair, *options) -> Tensor:
        sizes.append((len(new[0]), len(old[0])))
        return retain_while_acquiring(student, new, old, *options)

    class Kept(module.ReplayMemory):
        def sample(self, rng):
            memories.append(len(self))
            x, t = super().sample(rng)
            torch.testing.assert_close(t, trained(x), rtol=1e-4, atol=1e-4)
            return x, t

    monkeypatch.setattr(module, "retain_while_acquiring", noted)
    monkeypatch.setattr(module, "ReplayMemory", Kept)
    lra_dfkd(make_task(trained, steps=8, batch_size=16), host=name, replay=0.25, capacity=2, period=3, ngf=2)
    assert sizes == [(12, 4)] * 7  # the first update passes before anything is remembered
    assert memories == [1, 1, 1, 2, 2, 2, 2]


def test_a_batch_of_one_is_a_reason_to_skip(trained, make_task):
    with pytest.raises(Skip, match="batch_size is 1"):
        lra_dfkd(make_task(trained, batch_size=1))
