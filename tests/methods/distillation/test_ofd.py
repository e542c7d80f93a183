"""Overhaul: margins against simulation, and the partial distance against its cases."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import Skip
from methods.distillation.ofd import margin, ofd, partial_distance


def norm(mean: float, deviation: float) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(1)
    nn.init.constant_(made.weight, deviation)
    nn.init.constant_(made.bias, mean)
    return made


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"), [(0.3, 1.0, -0.6982), (0.3, -1.0, -0.6982), (0.0, 1.0, -0.7979)]
)
def test_a_margin_is_the_mean_of_what_is_negative(mean, deviation, expected):
    """-0.6982 is the number known for mean 0.3 and deviation 1; -sqrt(2 / pi) that of the standard normal."""
    assert float(margin(norm(mean, deviation))) == pytest.approx(expected, abs=1e-4)


def test_a_margin_by_simulation():
    x = -0.5 + 2 * torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    assert float(margin(norm(-0.5, 2.0))) == pytest.approx(float(x[x < 0].mean()), rel=0.01)


def test_where_nothing_is_negative_it_is_three_deviations():
    assert float(margin(norm(5.0, 1.0))) == -3.0
    assert torch.isfinite(margin(norm(1.0, 0.0)))
    assert float(margin(norm(-1.0, 0.0))) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("student", "teacher", "value"),
    [
        (0.5, 2.0, 2.25),  # positive: all counts
        (3.0, 2.0, 1.0),
        (1.0, -0.2, 1.44),  # negative above the margin: too high counts
        (-0.5, -0.2, 0.0),  # and low does not
        (0.0, -5.0, 1.0),  # below the margin -1: down to the margin
        (-1.5, -5.0, 0.0),
    ],
)
def test_the_cases_of_the_distance(student, teacher, value):
    maps = (torch.full((1, 1, 1, 1), x) for x in (student, teacher))
    assert float(partial_distance(*maps, torch.tensor(-1.0).view(1, 1, 1))) == pytest.approx(value)


def test_it_is_a_sum_over_maps_and_a_mean_over_images():
    student, teacher = torch.zeros(3, 2, 2, 2), torch.ones(3, 2, 2, 2)
    assert float(partial_distance(student, teacher, torch.full((2, 1, 1), -1.0))) == 8


def test_no_gradient_where_both_are_below_the_margin():
    student = torch.full((1, 1, 1, 1), -2.0, requires_grad=True)
    partial_distance(student, torch.full((1, 1, 1, 1), -3.0), torch.tensor(-1.0).view(1, 1, 1)).backward()
    assert float(student.grad) == 0


def test_a_teacher_without_batch_norm_is_skipped(make_pair):
    with pytest.raises(Skip, match="needs a BatchNorm before the last ReLU of each stage, and the teacher's layer1"):
        ofd(make_pair("resnet8", "vit", {"weights", "labels"}))
