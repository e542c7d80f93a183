"""DIST: Pearson's correlation by its formula, its invariances, and tables of one class or one image."""

from __future__ import annotations

import pytest
import torch

from methods.distillation.dist import correlation, relations


def table(seed: int, rows: int = 5, columns: int = 4) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_pearsons():
    a, b = table(0), table(1)
    expected = [float(torch.corrcoef(torch.stack([x, y]))[0, 1]) for x, y in zip(a, b, strict=True)]
    assert correlation(a, b).tolist() == pytest.approx(expected, rel=1e-12)


def test_both_relations_are_means_of_one_minus_it():
    z, t = table(0), table(1)
    p, q = (z / 4).softmax(1), (t / 4).softmax(1)
    rows, columns = relations(z, t, 4.0)
    assert float(rows) == pytest.approx(16 * (1 - float(correlation(p, q).mean())))
    assert float(columns) == pytest.approx(16 * (1 - float(correlation(p.T, q.T).mean())))


def test_positive_scale_and_shift_of_probabilities_do_not_matter():
    a, b = table(0), table(1)
    torch.testing.assert_close(correlation(3 * a + 2, 0.5 * b - 1), correlation(a, b))
    torch.testing.assert_close(correlation(a, 3 * a + 2), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(correlation(a, 2 - a), -torch.ones(5, dtype=torch.float64))


def test_one_class_has_no_relations_and_passes_no_gradient():
    """Each image's only probability is 1: every row and column is constant."""
    z = table(0, columns=1).requires_grad_()
    rows, columns = relations(z, table(1, columns=1), 1.0)
    assert (rows.item(), columns.item()) == (1.0, 1.0)
    (rows + columns).backward()
    assert torch.equal(z.grad, torch.zeros_like(z))


def test_of_one_image_only_the_classes_relate():
    z = table(0, rows=1).requires_grad_()
    rows, columns = relations(z, table(1, rows=1), 1.0)
    assert columns.item() == 1.0
    rows.backward()
    assert torch.isfinite(z.grad).all()
    assert z.grad.abs().sum() > 0
