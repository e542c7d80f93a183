"""SLERP: what an arc is, and that statistics are no directions."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench import Skip
from bench.scenarios.merge.in_pieces import piece, tensors_of
from methods.merging.slerp import arc, line, slerp


def test_halfway_between_two_axes_lies_on_the_circle():
    middle = arc(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5)
    torch.testing.assert_close(middle, torch.tensor([1.0, 1.0], dtype=torch.float64) / math.sqrt(2))


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_angle_grows_with_t_and_the_length_stays(t):
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([1.5, 1.5 * math.sqrt(3), 0.0])  # 60 degrees
    point = arc(a, b, t)
    assert point.norm().item() == pytest.approx(3.0)
    assert math.acos(min(1.0, float(point @ a.double()) / 9)) == pytest.approx(t * math.pi / 3, abs=1e-6)


@pytest.mark.parametrize("b", [[2.0, 4.0], [-1.0, -2.0], [0.0, 0.0], [1.0, 2.0 + 1e-9]])
def test_what_lies_on_one_line_or_is_zero_is_joined_by_the_straight_line(b):
    a, b = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    torch.testing.assert_close(arc(a, b, 0.25), line(a, b, 0.25), rtol=0, atol=1e-15)
    assert arc(a, b, 0.25).isfinite().all()


def test_running_statistics_lie_on_the_straight_line_and_ends_are_the_networks():
    nets = [{"w": torch.tensor([1.0, 0.0]), "norm.running_var": torch.tensor([4.0])}]
    nets.append({"w": torch.tensor([0.0, 1.0]), "norm.running_var": torch.tensor([2.0])})
    task = piece("slerp", nets[0], nets, 0, 0)
    middle = tensors_of(slerp(task))
    assert middle["norm.running_var"].item() == 3.0
    torch.testing.assert_close(middle["w"], torch.tensor([1.0, 1.0]) / math.sqrt(2))
    for t, net in enumerate(nets):
        assert all(torch.equal(tensor, net[name]) for name, tensor in tensors_of(slerp(task, t=float(t))).items())


def test_it_joins_two_networks_and_no_more():
    with pytest.raises(Skip, match="an arc joins two networks, and there are 3"):
        slerp(SimpleNamespace(parents=[nn.Linear(1, 1)] * 3))
