"""LRA: the algebra of its update, its special case, and its bookkeeping."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

import methods.datafree.lra_dfkd as module
from bench import Skip
from methods.datafree.adv_bn import adv_bn
from methods.datafree.lra_dfkd import lra_dfkd, retain_while_acquiring

Pair = tuple[Tensor, Tensor]


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


def test_the_update_rewards_aligned_gradients_to_first_order(problem):
    """grad = grad L_acq + grad L_ret - alpha * grad <grad L_acq, grad L_ret> + O(alpha^2)."""
    network, new, old = problem

    def error(alpha: float) -> float:
        acquire = l1_loss(network(new[0]), new[1])
        retain = l1_loss(network(old[0]), old[1])
        slopes = [gradient(loss, network, create_graph=True) for loss in (acquire, retain)]
        first_order = slopes[0] + slopes[1] - alpha * gradient(slopes[0] @ slopes[1], network)
        exact = gradient(retain_while_acquiring(network, new, old, alpha), network)
        return float((exact - first_order).detach().norm())

    assert error(1e-3) < 1e-6
    assert error(2e-3) / error(1e-3) == pytest.approx(4, rel=0.05)
    alignment = gradient(retain_while_acquiring(network, new, old, 1e-3), network)
    without = gradient(retain_while_acquiring(network, new, old, 0.0), network)
    assert float((alignment - without).detach().norm()) > 1e-4  # a first-order shortcut would leave no such term


def test_without_an_inner_step_it_is_joint_replay(problem):
    network, new, old = problem
    got = retain_while_acquiring(network, new, old, 0.0)
    expected = l1_loss(network(new[0]), new[1]) + l1_loss(network(old[0]), old[1])
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    torch.testing.assert_close(gradient(got, network), gradient(expected, network), rtol=0, atol=0)


def test_batchnorm_sees_new_images_once_and_remembered_ones_never():
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    twin = copy.deepcopy(network)
    new, old = torch.randn(2, 8, 2), torch.randn(2, 8, 2) + 5
    retain_while_acquiring(network, (new[0], new[1]), (old[0], old[1]), 0.1)
    twin(new[0])
    torch.testing.assert_close(network[0].running_mean, twin[0].running_mean)
    assert int(network[0].num_batches_tracked) == 1


def test_batches_are_of_the_boards_size_and_the_memory_fills_on_time(trained, make_task, monkeypatch):
    sizes = []

    def noted(student: nn.Module, new: Pair, old: Pair, alpha: float) -> Tensor:
        sizes.append((len(new[0]), len(old[0])))
        return retain_while_acquiring(student, new, old, alpha)

    monkeypatch.setattr(module, "retain_while_acquiring", noted)
    lra_dfkd(make_task(trained, steps=7, batch_size=16), replay=0.25, student_steps=2, nz=4, ngf=2)
    assert sizes == [(12, 4)] * 5  # two updates pass before the first batch is remembered


def test_before_anything_is_remembered_it_is_its_host(trained, make_task):
    host = adv_bn(make_task(trained, steps=2), student_steps=2, nz=4, ngf=2)
    lra = lra_dfkd(make_task(trained, steps=2), student_steps=2, nz=4, ngf=2)
    assert all(torch.equal(a, b) for a, b in zip(host.parameters(), lra.parameters(), strict=True))


def test_a_batch_of_one_is_a_reason_to_skip(trained, make_task):
    with pytest.raises(Skip, match="batch_size is 1"):
        lra_dfkd(make_task(trained, batch_size=1))
