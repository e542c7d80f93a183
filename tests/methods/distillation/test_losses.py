"""The distillation loss: its value, its gradient, its limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.schema.recipe import Recipe
from methods.distillation.losses import distillation_kl, soft_and_hard_labels


def logits(seed: int, rows: int = 5, classes: int = 7, scale: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)


def textbook(student: torch.Tensor, teacher: torch.Tensor, t: float) -> float:
    total = 0.0
    for zs, zt in zip(student.tolist(), teacher.tolist(), strict=True):
        ps, pt = ([math.exp(z / t) for z in row] for row in (zs, zt))
        ps, pt = ([p / sum(row) for p in row] for row in (ps, pt))
        total += sum(a * math.log(a / b) for a, b in zip(pt, ps, strict=True))
    return t**2 * total / len(student)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.5, 20))
def test_it_is_the_textbook_sum(seed, t):
    student, teacher = logits(seed), logits(seed + 1)
    assert float(distillation_kl(student, teacher, t)) == pytest.approx(textbook(student, teacher, t), rel=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.5, 20))
def test_the_gradient_is_t_times_the_difference_of_probabilities_over_the_batch(seed, t):
    student, teacher = logits(seed).requires_grad_(), logits(seed + 1)
    distillation_kl(student, teacher, t).backward()
    expected = t * ((student / t).softmax(1) - (teacher / t).softmax(1)) / len(student)
    torch.testing.assert_close(student.grad, expected, rtol=1e-9, atol=1e-12)


def test_it_is_zero_where_logits_differ_by_a_constant_in_each_row():
    z = logits(0)
    shifted = z + torch.arange(5.0, dtype=torch.float64)[:, None]
    assert float(distillation_kl(shifted, z, 4.0)) == pytest.approx(0, abs=1e-12)


def test_it_is_not_symmetric():
    a, b = logits(0), logits(1)
    assert float(distillation_kl(a, b, 1.0)) != pytest.approx(float(distillation_kl(b, a, 1.0)), rel=1e-3)


def test_at_a_high_temperature_it_compares_centred_logits():
    student, teacher = logits(2), logits(3)
    difference = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    limit = float(difference.square().sum(1).mean() / (2 * 7))
    errors = [abs(float(distillation_kl(student, teacher, t)) / limit - 1) for t in (10, 100, 1000)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


def test_a_teacher_that_is_sure_gives_a_finite_gradient_to_both():
    student = torch.tensor([[0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[400.0, -400.0]], requires_grad=True)
    distillation_kl(student, teacher, 1.0).backward()
    assert student.grad.tolist() == [[-0.5, 0.5]]
    assert torch.isfinite(teacher.grad).all()


def test_the_two_terms_are_weighed_and_labels_smoothed():
    torch.manual_seed(0)
    model, teacher = nn.Linear(3, 4), nn.Linear(3, 4)
    x, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 3, 0, 1])
    loss = soft_and_hard_labels(teacher, Recipe(label_smoothing=0.1), alpha=0.3, temperature=2.0)
    hard = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
    soft = distillation_kl(model(x), teacher(x), 2.0)
    value = loss(model, x, y, torch.arange(6))
    assert value.item() == pytest.approx(0.3 * hard.item() + 0.7 * soft.item())
    value.backward()
    assert teacher.weight.grad is None


def test_on_labels_alone_the_teacher_is_not_asked():
    def never(x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("asked")

    loss = soft_and_hard_labels(never, Recipe(), alpha=1.0, temperature=2.0)
    x, y = torch.randn(2, 3), torch.tensor([0, 1])
    assert torch.isfinite(loss(nn.Linear(3, 4), x, y, torch.arange(2)))
