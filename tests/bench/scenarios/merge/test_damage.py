"""Damaged experts: what is pruned, how loud the noise is, what is left alone."""

import copy

import pytest
import torch
from torch import nn

from bench.scenarios.merge.damage import NOISE, PRUNED, damaged, noisy, pruned


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(40, 50)
        self.head = nn.Linear(50, 3)


def nets() -> tuple[Net, list[Net]]:
    torch.manual_seed(0)
    init = Net()
    experts = [Net() for _ in range(3)]
    return init, experts


def test_pruning_keeps_the_largest_tenth_and_rest_of_the_network_is_the_initialisation():
    init, experts = nets()
    found = damaged("pruned", init, experts, torch.Generator())
    for before, after in zip(experts, found, strict=True):
        delta = before.body.weight - init.body.weight
        kept = (after.body.weight - init.body.weight).abs() > 1e-7
        assert int(kept.sum()) == round((1 - PRUNED) * delta.numel())
        assert delta[kept].abs().min() >= delta[~kept].abs().max()
        assert torch.equal(after.head.weight, before.head.weight)


def test_noise_has_the_stated_norm_and_goes_to_the_first_expert_alone():
    init, experts = nets()
    found = damaged("noisy", init, experts, torch.Generator().manual_seed(0))
    delta = experts[0].body.weight - init.body.weight
    noise = found[0].body.weight - experts[0].body.weight
    assert float((noise.norm() / delta.norm()).detach()) == pytest.approx(NOISE, rel=0.1)
    for before, after in zip(experts[1:], found[1:], strict=True):
        assert torch.equal(before.body.weight, after.body.weight)


def test_experts_stay_as_they_were():
    init, experts = nets()
    before = copy.deepcopy(experts)
    for kind in ("none", "pruned", "noisy"):
        damaged(kind, init, experts, torch.Generator())
    assert damaged("none", init, experts, torch.Generator())[0] is experts[0]
    for one, other in zip(before, experts, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_tensor_of_one_entry_survives():
    assert pruned(torch.tensor([2.0])).tolist() == [2.0]
    assert noisy(torch.zeros(4), torch.Generator()).tolist() == [0.0] * 4
