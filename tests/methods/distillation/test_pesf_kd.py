"""PESF-KD: what the adapter is, who learns from whom, and that it narrows the gap of sharpness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench.device import as_input
from methods.distillation import pesf_kd as module
from methods.distillation.losses import distillation_kl
from methods.distillation.pesf_kd import Adapter, online_kd, pesf_kd, teaching_loss
from methods.distillation.references import scratch


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_at_the_start_the_adapter_gives_the_teachers_logits():
    torch.manual_seed(0)
    adapter, z = Adapter(10, 16), torch.randn(5, 10)
    assert torch.equal(adapter(z), z)
    assert parameters(adapter) == 10 * 16 + 16 + 16 * 10 + 10


def test_the_teaching_loss_by_hand():
    """One image of two classes: probabilities 0.8 and 0.5, label 0, T = 1."""
    teacher, student = torch.tensor([[4.0, 1.0]]).log(), torch.zeros(1, 2)
    hard = -torch.tensor(0.8).log()
    soft = 0.5 * (torch.tensor(0.5 / 0.8).log() + torch.tensor(0.5 / 0.2).log())
    value = teaching_loss(teacher, student, torch.tensor([0]), 3.0, 1.0)
    torch.testing.assert_close(value, hard + 3 * soft)
    torch.testing.assert_close(soft, distillation_kl(teacher, student, 1.0))


@pytest.mark.parametrize("method", [pesf_kd, online_kd])
def test_a_student_that_does_not_listen_is_scratch(make_task, method):
    """So what the adapter, or the teacher, learns from the student changes nothing in the student."""
    access = {"weights", "outputs", "labels"}
    alone, beside = make_task(access), make_task(access)
    scratch(alone)
    method(beside, soft_weight=0.0)
    for a, b in zip(alone.student.parameters(), beside.student.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_adapter_narrows_the_gap_of_sharpness_and_stays_right(make_task, monkeypatch):
    made: list[Adapter] = []

    def adapter(classes: int, width: int) -> Adapter:
        made.append(Adapter(classes, width))
        return made[-1]

    monkeypatch.setattr(module, "Adapter", adapter)
    task = make_task({"weights", "outputs", "labels"})
    torch.manual_seed(0)
    student = pesf_kd(task)
    with torch.no_grad():
        x = as_input(task.inputs)
        z = task.teacher(x)
        adapted, mine = made[0](z), student(x)

    def sharpness(logits: Tensor) -> float:
        return float(logits.logsumexp(1).mean())

    assert abs(sharpness(adapted) - sharpness(mine)) < abs(sharpness(z) - sharpness(mine))
    right = [float((logits.argmax(1) == task.labels).double().mean()) for logits in (adapted, z)]
    assert right[0] >= right[1] - 0.01
    assert parameters(made[0]) < 0.05 * parameters(task.teacher)


def test_online_the_teacher_learns_at_its_own_rate(make_task):
    tasks = [make_task({"weights", "labels"}) for _ in range(2)]
    start = tasks[0].teacher.head.weight.detach().clone()
    for task, rate in zip(tasks, (1e-12, 0.1), strict=True):
        online_kd(task, teacher_lr=rate)
    fixed, moved = (task.teacher.head.weight for task in tasks)
    torch.testing.assert_close(fixed, start)
    assert (moved - start).abs().max() > 1e-3
    assert not torch.equal(tasks[0].student.head.weight, tasks[1].student.head.weight)
