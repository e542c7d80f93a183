"""SP, CC, PKT and AT: each by hand on tiny batches, with what must not matter to it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from methods.distillation.at import attention, attention_loss
from methods.distillation.cc import correlations
from methods.distillation.pkt import neighbour_loss, neighbours
from methods.distillation.sp import similarities, similarity_loss


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width: int) -> Tensor:
    return torch.linalg.qr(draw(9, width, width)).Q


def test_sp_by_hand():
    """Rows (1, 0) and (1, 1): G = [[1, 1], [1, 2]], rows over sqrt 2 and sqrt 5."""
    a, b = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.eye(2)
    table = [[1 / math.sqrt(2), 1 / math.sqrt(2)], [1 / math.sqrt(5), 2 / math.sqrt(5)]]
    torch.testing.assert_close(similarities(a), torch.tensor(table))
    expected = sum((table[i][j] - (i == j)) ** 2 for i in range(2) for j in range(2)) / 4
    assert float(similarity_loss(a, b)) == pytest.approx(expected)


def test_sp_ignores_scale_and_rotation_and_widths_and_minds_a_shift():
    student, teacher = draw(0, 4, 3), draw(1, 4, 7)
    value = float(similarity_loss(student, teacher))
    assert float(similarity_loss(5 * student @ rotation(3), teacher)) == pytest.approx(value)
    assert float(similarity_loss(student + 1, teacher)) != pytest.approx(value, rel=1e-2)
    assert float(similarity_loss(teacher @ rotation(7), teacher)) == pytest.approx(0, abs=1e-15)


def test_cc_is_the_gaussian_kernel_of_unit_vectors_as_its_order_grows():
    unit = nn.functional.normalize(draw(0, 5, 3))
    exact = torch.exp(-0.4 * torch.cdist(unit, unit).square())
    torch.testing.assert_close(correlations(unit, 0.4, 20), exact)
    assert (correlations(unit, 0.4, 2) - exact).abs().max() < 0.1


def test_cc_by_hand():
    """Two unit vectors at 60 degrees: their product is a half."""
    unit = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]], dtype=torch.float64)

    def entry(c: float) -> float:
        return math.exp(-0.8) * (1 + 0.8 * c + 0.32 * c**2)

    torch.testing.assert_close(
        correlations(unit, 0.4, 2), torch.tensor([[entry(1), entry(0.5)], [entry(0.5), entry(1)]], dtype=torch.float64)
    )
    torch.testing.assert_close(correlations(unit @ rotation(2), 0.4, 2), correlations(unit, 0.4, 2))


def test_pkt_by_hand():
    """Opposite vectors have cosine -1 and probability 0; an image is its own neighbour."""
    opposite, equal = torch.tensor([[1.0, 0.0], [-2.0, 0.0]]), torch.ones(2, 3)
    torch.testing.assert_close(neighbours(opposite), torch.eye(2))
    torch.testing.assert_close(neighbours(equal), torch.full((2, 2), 0.5))
    assert float(neighbour_loss(equal, opposite)) == pytest.approx(math.log(2) / 2, rel=1e-4)


def test_pkt_ignores_scale_and_rotation_and_is_zero_for_equal_embeddings():
    student, teacher = draw(0, 5, 3), draw(1, 5, 4)
    value = float(neighbour_loss(student, teacher))
    assert value > 0
    assert float(neighbour_loss(0.1 * student @ rotation(3), 3 * teacher)) == pytest.approx(value, rel=1e-5)
    assert float(neighbour_loss(teacher @ rotation(4), teacher)) == pytest.approx(0, abs=1e-15)
    assert torch.isfinite(neighbours(torch.zeros(3, 2))).all()


def test_at_by_hand():
    """One image, two channels of 1x2 pixels: squares 1, 4 and 9, 0 have the means 5 and 2."""
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
    torch.testing.assert_close(attention(maps), torch.tensor([[5.0, 2.0]]) / math.sqrt(29))
    other = torch.tensor([[[[0.0, 1.0]]]])
    expected = ((5 / math.sqrt(29)) ** 2 + (2 / math.sqrt(29) - 1) ** 2) / 2
    assert float(attention_loss(maps, other)) == pytest.approx(expected)


def test_at_ignores_scale_and_the_order_of_channels_and_pools_the_larger_map():
    student, teacher = draw(0, 2, 3, 4, 4), draw(1, 2, 5, 4, 4)
    value = attention_loss(student, teacher)
    torch.testing.assert_close(attention_loss(7 * student[:, [2, 0, 1]], teacher), value)
    pooled = nn.functional.adaptive_avg_pool2d(student, 2)
    small = draw(2, 2, 5, 2, 2)
    assert torch.equal(attention_loss(student, small), attention_loss(pooled, small))
