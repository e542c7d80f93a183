"""Decoupled distillation: its two terms by sums, the weights at which it is KD, and its warm-up."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from methods.distillation.dkd import decoupled, dkd
from methods.distillation.losses import distillation_kl, others

ROWS, CLASSES, T = 5, 6, 4.0


def logits(seed: int) -> Tensor:
    return 3 * torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 5, 2, 2, 3])


def textbook(student: Tensor, teacher: Tensor) -> tuple[float, float]:
    """Both terms by loops over images and classes."""
    target, rest = 0.0, 0.0
    for zs, zt, y in zip(student.tolist(), teacher.tolist(), LABELS.tolist(), strict=True):
        ps, pt = ([math.exp(z / T) for z in row] for row in (zs, zt))
        ps, pt = ([p / sum(row) for p in row] for row in (ps, pt))
        target += pt[y] * math.log(pt[y] / ps[y]) + (1 - pt[y]) * math.log((1 - pt[y]) / (1 - ps[y]))
        for c in range(CLASSES):
            if c != y:
                qs, qt = ps[c] / (1 - ps[y]), pt[c] / (1 - pt[y])
                rest += qt * math.log(qt / qs)
    return T**2 * target / ROWS, T**2 * rest / ROWS


def test_both_terms_are_the_textbooks():
    found = decoupled(logits(0), logits(1), LABELS, T)
    assert [float(term) for term in found] == pytest.approx(textbook(logits(0), logits(1)), rel=1e-12)


def test_at_weights_one_and_the_teachers_doubt_it_is_kd_in_value_and_gradient():
    """KD = TCKD + (1 - p_t(y)) NCKD, image by image."""
    teacher = logits(1)
    mine, whole = logits(0).requires_grad_(), logits(0).requires_grad_()
    value = torch.tensor(0.0, dtype=torch.float64)
    for i in range(ROWS):
        row = slice(i, i + 1)
        doubt = 1 - (teacher[i] / T).softmax(0)[LABELS[i]]
        target, rest = decoupled(mine[row], teacher[row], LABELS[row], T)
        value = value + (target + doubt * rest) / ROWS
    kd = distillation_kl(whole, teacher, T)
    assert value.item() == pytest.approx(kd.item(), rel=1e-13)
    value.backward()
    kd.backward()
    torch.testing.assert_close(mine.grad, whole.grad, rtol=1e-12, atol=1e-14)


def test_the_other_classes_keep_their_order():
    z = torch.arange(12.0).view(2, 6)
    assert others(z, torch.tensor([0, 4])).tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 11]]


def test_a_teacher_and_a_student_that_are_sure_give_finite_gradients():
    student = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    target, rest = decoupled(student, torch.tensor([[-300.0, 300.0, 0.0]]), torch.tensor([0]), 1.0)
    (target + rest).backward()
    assert torch.isfinite(student.grad).all()
    assert torch.isfinite(target + rest)


def test_weights_rise_from_zero(make_pair, monkeypatch):
    """With a warm-up that never ends, the first step is the labels' alone; without one it is not."""
    seen = []
    monkeypatch.setattr("methods.distillation.dkd.distil_outputs", lambda task, loss: seen.append(loss) or task.student)
    for warmup in (1.0, 0.0):
        dkd(make_pair("resnet8", "vgg", {"outputs", "labels"}), warmup=warmup)
    from methods.distillation.training import Batch, Seen

    def value(loss, done):
        return float(loss(Batch(Seen(logits(0)), Seen(logits(1)), LABELS, LABELS, done, torch.tensor(0.0))))

    rising, constant = seen
    assert value(rising, 0.0) == 0
    assert value(rising, 0.25) == pytest.approx(value(constant, 0.0) / 4)
    assert value(constant, 0.9) == value(constant, 0.0) > 0
