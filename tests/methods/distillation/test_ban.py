"""Born-again networks: generations, their mixture, and the two probes by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bench.models.compositions import Mixture
from methods.distillation.ban import ban, born_again, permuted, weighted_labels
from methods.distillation.kd import kd
from methods.distillation.losses import distillation_kl

ACCESS = {"outputs", "labels"}


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 2, 1, 2])


def test_weighted_labels_by_hand():
    student, teacher = draw(0, 4, 3), draw(1, 4, 3)
    p, q = teacher.softmax(1), student.softmax(1)
    sure = [float(row.max()) for row in p]
    expected = -sum(w / sum(sure) * math.log(q[i, y]) for i, (w, y) in enumerate(zip(sure, LABELS, strict=True)))
    assert float(weighted_labels(student, teacher, LABELS, 0.0)) == pytest.approx(expected)


def test_of_a_teacher_that_is_equally_sure_labels_count_alike():
    student = draw(0, 4, 3)
    for teacher in (torch.zeros(4, 3), torch.eye(3)[LABELS] * 5):
        value = weighted_labels(student, teacher, LABELS, 0.1)
        torch.testing.assert_close(value, nn.functional.cross_entropy(student, LABELS, label_smoothing=0.1))


def test_permuted_predictions_keep_the_largest_and_the_others_but_for_their_order():
    torch.manual_seed(0)
    p = draw(0, 200, 6).softmax(1)
    shuffled = permuted(p)
    assert torch.equal(shuffled.argmax(1), p.argmax(1))
    assert torch.equal(shuffled.sort(1).values, p.sort(1).values)  # so sum and entropy are the same as well
    moved = (shuffled != p).any(1)
    assert 0.95 < float(moved.double().mean()) < 1  # one order of 120 is the old one
    assert len({tuple(row.argsort().tolist()) for row in permuted(p[:1].expand(200, 6))}) > 50  # each row has its own


def test_two_classes_leave_nothing_to_permute():
    p = draw(0, 5, 2).softmax(1)
    assert torch.equal(permuted(p), p)


def test_the_loss_is_the_divergence_and_the_labels_where_they_count():
    x, teacher = draw(0, 4, 3), draw(1, 4, 3)
    soft = distillation_kl(x, teacher, 1.0)
    hard = nn.functional.cross_entropy(x, LABELS, label_smoothing=0.1)
    for weight, expected in ((0.0, soft), (2.0, soft + 2 * hard)):
        value = born_again(lambda _: teacher, weight, 0.1)(nn.Identity(), x, LABELS, LABELS)
        torch.testing.assert_close(value, expected)


def test_one_generation_is_kd_at_temperature_one_without_labels(make_pair):
    tasks = [make_pair("resnet8", "vgg", ACCESS) for _ in range(2)]
    kd(tasks[0], alpha=0.0, temperature=1.0)
    ban(tasks[1])
    for a, b in zip(*(task.student.parameters() for task in tasks), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("arch", ["resnet8", "vgg", "mlp", "vit"])
def test_generations_follow_one_another_and_the_ensemble_holds_them_all(make_pair, arch):
    results = []
    for options in ({}, {"generations": 3}, {"generations": 3, "ensemble": True}):
        task = make_pair(arch, "resnet8", ACCESS)
        torch.manual_seed(0)
        results.append(ban(task, **options))
    first, last, all_three = results
    assert isinstance(all_three, Mixture)
    assert len(all_three.members) == 3
    for one, other in ((first, all_three.members[0]), (last, all_three.members[2])):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    shapes = [[p.shape for p in member.parameters()] for member in all_three.members]
    assert shapes[0] == shapes[1] == shapes[2]
    assert not torch.equal(all_three.members[1].head.weight, all_three.members[2].head.weight)
    assert not any(module.training for module in all_three.modules())
