"""Multi-level logits: the two tables by loops, and the strong view."""

from __future__ import annotations

import pytest
import torch

from bench.errors import Skip
from methods.distillation.mlkd import batch_loss, class_loss, mlkd
from methods.distillation.strong import KINDS, strong_view

STUDENT, TEACHER = (
    torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (0, 1)
)


def test_both_tables_by_loops():
    p, q = ((z / 2).softmax(1).tolist() for z in (STUDENT, TEACHER))
    classes = sum(
        (sum(q[b][i] * q[b][j] for b in range(3)) - sum(p[b][i] * p[b][j] for b in range(3))) ** 2
        for i in range(4)
        for j in range(4)
    )
    images = sum(
        (sum(q[a][c] * q[b][c] for c in range(4)) - sum(p[a][c] * p[b][c] for c in range(4))) ** 2
        for a in range(3)
        for b in range(3)
    )
    assert float(class_loss(STUDENT, TEACHER, 2.0)) == pytest.approx(classes / 4)
    assert float(batch_loss(STUDENT, TEACHER, 2.0)) == pytest.approx(images / 3)


def test_equal_logits_cost_nothing():
    assert float(class_loss(STUDENT, STUDENT + 1, 3.0)) == pytest.approx(0, abs=1e-20)
    assert float(batch_loss(STUDENT, STUDENT + 1, 3.0)) == pytest.approx(0, abs=1e-20)


def test_texts_are_skipped(make_task):
    task = make_task({"outputs", "labels"})
    task.__dict__["input_shape"] = (20,)
    with pytest.raises(Skip, match="needs images"):
        mlkd(task)


def test_a_strong_view_is_an_image_and_another_one_than_before():
    torch.manual_seed(0)
    x = torch.rand(200, 3, 8, 8)
    view = strong_view(x)
    assert view.shape == x.shape
    assert view.min() >= 0
    assert view.max() <= 1
    assert ((view - x).abs().amax((1, 2, 3)) > 0.01).float().mean() > 0.95


@pytest.mark.parametrize("kind", range(KINDS))
def test_each_operation_alone(monkeypatch, kind):
    """Twice the same one: none leaves the image as it is but for the cut."""
    torch.manual_seed(0)
    monkeypatch.setattr("methods.distillation.strong._cut", lambda x: x)
    monkeypatch.setattr(torch, "randint", lambda _top, size: torch.full(size, kind))
    x = torch.rand(8, 3, 8, 8)
    view = strong_view(x)
    changed = (view - x).abs().amax((1, 2, 3)) > 1e-3
    assert changed.sum() == 0 if kind == 0 else changed.sum() >= 6
    assert view.min() >= 0
    assert view.max() <= 1


def test_a_rotation_turns_about_the_middle_and_a_shift_moves_by_its_share(monkeypatch):
    monkeypatch.setattr("methods.distillation.strong._cut", lambda x: x)
    kinds = iter((6, 0, 9, 0))
    monkeypatch.setattr(torch, "randint", lambda _top, size: torch.full(size, next(kinds)))
    monkeypatch.setattr(torch, "rand", lambda *size: torch.ones(*size))
    x = torch.zeros(1, 1, 11, 11)
    x[0, 0, 5, 5] = 1
    assert strong_view(x)[0, 0, 5, 5] == pytest.approx(1, abs=1e-5)
    column = strong_view(x)[0, 0, 5].argmax()
    assert abs(int(column) - 5) == 3  # 0.3 of 11 pixels
