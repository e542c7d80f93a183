"""Methods that learn from several networks: average mentors, ClassroomKD, mutual learning, ORC."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from bench.errors import Skip
from bench.task.meter import Costs, counted
from methods.distillation.classroom_kd import classroom_kd, classroom_loss, lead, shares, skill
from methods.distillation.dml import dml, mutual_loss
from methods.distillation.kd import kd
from methods.distillation.kd_mentors import divergence_from_mean, kd_mentors
from methods.distillation.losses import distillation_kl
from methods.distillation.orc import intensive, orc, ranked, repeated, role_loss

LABELS = torch.tensor([0, 2, 1, 2])
ALL = {"weights", "outputs", "mentors", "assistants", "labels"}


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


Z = [draw(i, 4, 3) for i in range(4)]
SURE = 9 * torch.eye(3, dtype=torch.float64)[LABELS]
"""Logits of who knows the labels."""


def cross_entropy(z: Tensor) -> float:
    return float(nn.functional.cross_entropy(z, LABELS))


def test_the_mean_of_mentors_by_hand():
    mean = (Z[1] / 2).softmax(1) / 2 + (Z[2] / 2).softmax(1) / 2
    expected = 4 * float((mean * (mean.log() - (Z[0] / 2).log_softmax(1))).sum() / 4)
    assert float(divergence_from_mean(Z[0], torch.stack(Z[1:3]), 2.0)) == pytest.approx(expected)
    alike = divergence_from_mean(Z[0], torch.stack([Z[1]] * 3), 2.0)
    torch.testing.assert_close(alike, distillation_kl(Z[0], Z[1], 2.0))


def test_without_mentors_their_mean_is_kd(make_task):
    one, other = make_task(ALL), make_task(ALL, mentors=0)
    kd(one)
    kd_mentors(other)
    for a, b in zip(one.student.parameters(), other.student.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_the_classroom_by_hand():
    """Slowly, in the words of the released code: weights, who is asked, temperatures."""
    student, mentors = Z[0], [SURE, Z[1], Z[2]]
    raw = [math.exp(-cross_entropy(z)) for z in (student, *mentors)]
    weights = [round(w / sum(raw), 2) * 3 for w in raw]
    expected = raw[0] * cross_entropy(student)
    asked = 0
    for z, w in zip(mentors, weights[1:], strict=True):
        if w < weights[0]:
            continue
        asked += 1
        tau = 1 + 12 * abs(w - weights[0]) / max(w, weights[0])
        p, q = (z / tau).softmax(1), (student / tau).softmax(1)
        expected += w * tau**2 * float((p * (p / q).log()).sum() / 4)
    assert 0 < asked < 3
    assert float(classroom_loss(student, mentors, LABELS, 12.0)) == pytest.approx(expected)


def test_a_mentor_who_is_worse_adds_exactly_nothing_but_its_place():
    student, worse = SURE / 2, -SURE
    value = classroom_loss(student, [worse], LABELS, 12.0)
    assert float(value) == pytest.approx(math.exp(-cross_entropy(student)) * cross_entropy(student))
    moved = classroom_loss(student, [worse + 0.01 * Z[0]], LABELS, 12.0)
    assert torch.equal(value, moved)


def test_a_mentor_as_good_as_the_student_teaches_at_temperature_one():
    other = SURE[:, [0, 1, 2]].clone()
    other[0, [1, 2]] = torch.tensor([0.5, -0.6]).double()  # about as good
    weights = shares([skill(SURE, LABELS), skill(other, LABELS)])
    assert weights[0] == weights[1] == 0.5
    expected = skill(SURE, LABELS) * cross_entropy(SURE) + 0.5 * float(distillation_kl(SURE, other, 1.0))
    assert float(classroom_loss(SURE, [other], LABELS, 12.0)) == pytest.approx(expected)


def test_shares_and_leads():
    assert shares([1.0, 1.0]) == [0.5, 0.5]
    assert shares([0.2, 0.3, 0.5]) == pytest.approx([0.4, 0.6, 1.0])
    assert (lead(1.0, 0.5), lead(0.5, 0.5), lead(0.0, 0.0)) == (0.5, 0.0, 0.0)


@pytest.mark.parametrize("method", [classroom_kd, kd_mentors])
def test_mentors_are_asked_once_a_step(make_task, method):
    task = make_task(ALL, mentors=2)
    costs = Costs()
    with counted(costs, {name: task.__dict__[name] for name in ("teacher_outputs", "mentor_outputs")}):
        method(task)
    steps = task.recipe.epochs * len(task.inputs)
    assert costs.samples == {"teacher_outputs": steps, "mentor_outputs": 2 * steps}


def test_mutual_learning_by_hand():
    expected = 0.0
    for i, z in enumerate(Z[:3]):
        others = [float(distillation_kl(z, Z[j], 1.0)) for j in range(3) if j != i]
        expected += cross_entropy(z) + sum(others) / 2
    assert float(mutual_loss(Z[:3], LABELS)) == pytest.approx(expected)
    assert float(mutual_loss([Z[0], Z[0]], LABELS)) == pytest.approx(2 * cross_entropy(Z[0]))


def test_each_learns_from_the_other_as_it_is():
    mine, other = (z.clone().requires_grad_() for z in Z[:2])
    mutual_loss([mine, other], LABELS).backward()
    alone = Z[0].clone().requires_grad_()
    (nn.functional.cross_entropy(alone, LABELS) + distillation_kl(alone, Z[1], 1.0)).backward()
    torch.testing.assert_close(mine.grad, alone.grad)


def test_mutual_learning_needs_somebody_else(make_task):
    with pytest.raises(Skip, match="needs assistants"):
        dml(make_task(ALL, assistants=0))


def test_roles_by_hand():
    """Of three students number 1 is promoted: it learns from the pivot, the others from both."""
    pivot, best = Z[3], [1]
    expected = 0.0
    for i, z in enumerate(Z[:3]):
        soft = [float(distillation_kl(z, pivot, 4.0))]
        if i != 1:
            soft.append(float(distillation_kl(z, Z[1], 4.0)))
        expected += 0.1 * cross_entropy(z) + 0.9 * sum(soft) / len(soft)
    assert float(role_loss(Z[:3], pivot, LABELS, best, 0.1, 4.0)) == pytest.approx(expected)


def test_who_is_promoted_learns_nothing_from_its_pupils():
    teacher, pupil = (z.clone().requires_grad_() for z in Z[:2])
    role_loss([teacher, pupil], Z[2], LABELS, [0], 0.1, 4.0).backward()
    alone = Z[0].clone().requires_grad_()
    (0.1 * nn.functional.cross_entropy(alone, LABELS) + 0.9 * distillation_kl(alone, Z[2], 4.0)).backward()
    torch.testing.assert_close(teacher.grad, alone.grad)


def test_the_best_has_the_least_cross_entropy():
    order = ranked([Z[0], SURE, -SURE], LABELS)
    assert order == [1, 0, 2]
    losses = [cross_entropy(z) for z in (SURE, Z[0], -SURE)]
    assert all(a < b for a, b in pairwise(losses))


def test_what_is_repeated_was_got_wrong_and_more_of_who_errs_more():
    torch.manual_seed(0)
    none, much = torch.zeros(400, dtype=torch.bool), torch.zeros(400, dtype=torch.bool)
    much[10:390] = True
    little = torch.zeros(400, dtype=torch.bool)
    little[:4] = True
    assert len(repeated([none, none])) == 0
    rows = repeated([none, much, little])
    assert len(rows) == 400
    assert bool((much | little)[rows].all())
    share = math.exp(0.95) / (math.exp(0.95) + math.exp(0.01))
    assert float(much[rows].double().mean()) == pytest.approx(share, abs=0.08)


def test_intensive_teaching_is_one_step_on_a_mixture():
    torch.manual_seed(0)
    pivot = nn.Linear(3, 3).double()
    twin, x, rows = copy.deepcopy(pivot), Z[0], torch.tensor([1, 1, 3, 0])
    intensive(pivot, torch.optim.SGD(pivot.parameters(), 0.5), x, LABELS, rows[:0])
    assert torch.equal(pivot.weight, twin.weight)  # nothing was got wrong
    torch.manual_seed(3)
    intensive(pivot, torch.optim.SGD(pivot.parameters(), 0.5), x, LABELS, rows)
    torch.manual_seed(3)
    share = float(torch.rand(()))
    z = twin(share * x[rows] + (1 - share) * x)
    soft = share * nn.functional.one_hot(LABELS[rows], 3) + (1 - share) * nn.functional.one_hot(LABELS, 3)
    (-(soft * z.log_softmax(1)).sum(1).mean()).backward()
    torch.testing.assert_close(pivot.weight, twin.weight - 0.5 * twin.weight.grad)


def test_with_one_student_and_a_pivot_that_is_not_trained_it_is_kd(make_pair):
    one, other = make_pair("mlp", "mlp", ALL), make_pair("mlp", "mlp", ALL)
    other.__dict__["assistants"] = []
    kd(one)
    orc(other, pivot_lr=0.0)
    for a, b in zip(one.student.parameters(), other.student.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("options", [{}, {"promoted": 0}, {"promoted": 9}, {"pivot_lr": 0.0}])
def test_every_student_learns_and_the_pivot_if_it_has_a_rate(make_task, options):
    task = make_task(ALL, assistants=2)
    learners = [task.teacher, *task.assistants]
    starts = [network.head.weight.detach().clone() for network in learners]
    torch.manual_seed(0)
    assert orc(task, **options) is task.student
    moved = [not torch.equal(network.head.weight, start) for network, start in zip(learners, starts, strict=True)]
    assert moved == [options.get("pivot_lr") != 0.0, True, True]
