"""Knowledge review: fusion and distance by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.distillation.reviewkd import Fusion, hierarchical_distance


def test_the_distance_of_one_pixel_is_the_squared_difference():
    assert float(hierarchical_distance(torch.tensor([[[[3.0]]]]), torch.tensor([[[[1.0]]]]))) == 4


def test_the_distance_weighs_each_smaller_size_by_half():
    """4x4 maps: sizes 4 (as they are), 2 and 1 with weights 1, 1/2 and 1/4."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)

    def at(side: int) -> float:
        pooled = (m.unfold(2, 4 // side, 4 // side).unfold(3, 4 // side, 4 // side).mean((4, 5)) for m in (a, b))
        return float(nn.functional.mse_loss(*pooled))

    assert float(hierarchical_distance(a, b)) == pytest.approx((at(4) + at(2) / 2 + at(1) / 4) / 1.75)


def test_fusion_is_a_sum_of_the_stage_and_what_was_handed_on_by_attention():
    torch.manual_seed(0)
    fuse = Fusion(3, 4, 5, last=False).eval()
    x, handed = torch.randn(2, 3, 4, 4), torch.randn(2, 4, 2, 2)
    guess, on = fuse(x, handed, torch.Size((8, 8)))
    assert guess.shape == (2, 5, 8, 8)
    here, later = fuse.enter(x), handed.repeat_interleave(2, 2).repeat_interleave(2, 3)
    z = torch.sigmoid(fuse.attention[0](torch.cat([here, later], 1)))
    expected = here * z[:, 0:1] + later * z[:, 1:2]
    torch.testing.assert_close(on, expected.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_the_last_stage_is_not_fused():
    fuse = Fusion(3, 4, 5, last=True).eval()
    x = torch.randn(2, 3, 1, 1)
    guess, on = fuse(x, None, torch.Size((1, 1)))
    assert torch.equal(on, fuse.enter(x))
    assert torch.equal(guess, fuse.leave(on))
