"""Class attention: what the maps are, their loss by hand, and to which networks it applies."""

from __future__ import annotations

import math

import pytest
import torch

from bench.errors import Skip
from bench.models.stages import matched
from methods.distillation.cat_kd import cat_kd, class_maps, map_loss
from methods.distillation.training import first_look


@pytest.mark.parametrize("arch", ["resnet8", "vgg"])
def test_the_mean_of_a_class_map_is_the_logit_less_its_bias(make_pair, arch):
    task = make_pair(arch, "resnet14", {"weights", "labels"})
    seen = first_look(task, matched(task.student, task.teacher)[-1:])
    for network, shown in zip((task.student, task.teacher), seen, strict=True):
        maps = class_maps(shown.maps[-1], network.head)
        assert maps.shape == (1, 10, 2, 2)
        torch.testing.assert_close(maps.mean((2, 3)) + network.head.bias, shown.logits)


def test_the_head_and_the_average_may_change_places():
    torch.manual_seed(0)
    head, maps = torch.nn.Linear(5, 3), torch.randn(2, 5, 7, 6)
    first = torch.nn.functional.conv2d(maps, head.weight[:, :, None, None])
    torch.testing.assert_close(class_maps(maps, head), torch.nn.functional.adaptive_avg_pool2d(first, 2))


def test_the_loss_by_hand():
    a = torch.tensor([[[[3.0, 0.0], [0.0, 4.0]]]])
    b = torch.tensor([[[[1.0, 1.0], [1.0, 1.0]]]])
    assert float(map_loss(a, b, normalise=False)) == (4 + 1 + 1 + 9) / 4
    expected = ((0.6 - 0.5) ** 2 + 2 * 0.5**2 + (0.8 - 0.5) ** 2) / 4
    assert float(map_loss(a, b, normalise=True)) == pytest.approx(expected)
    assert float(map_loss(7 * a, b, normalise=True)) == pytest.approx(expected)
    assert float(map_loss(7 * a, a, normalise=True)) == pytest.approx(0, abs=1e-12)
    assert math.isfinite(float(map_loss(0 * a, b, normalise=True)))


def test_with_no_weight_on_labels_they_do_not_matter(make_pair):
    tasks = [make_pair("resnet8", "vgg", {"weights", "labels"}) for _ in range(2)]
    tasks[1].labels.copy_(tasks[1].labels.flip(0))
    start = tasks[0].student.head.weight.detach().clone()
    for task in tasks:
        cat_kd(task, hard_weight=0.0, normalise=True, weight=50.0)
    for a, b in zip(*(task.student.parameters() for task in tasks), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(tasks[0].student.head.weight, start)


@pytest.mark.parametrize(
    ("student", "teacher", "why"),
    [
        ("mlp", "mlp", "last stage of the student has one pixel"),
        ("resnet8", "vit", "head of the teacher does not read"),
    ],
)
def test_networks_without_class_maps_are_skipped(make_pair, student, teacher, why):
    with pytest.raises(Skip, match=why):
        cat_kd(make_pair(student, teacher, {"weights", "labels"}))
