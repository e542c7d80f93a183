from __future__ import annotations

import pytest
import torch
from torch.nn.functional import avg_pool2d

from bench.data.images.resize import check_side, to_channels, to_side
from bench.errors import DataError

IMAGES = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [16, 8, 1])
def test_pooling_is_the_rounded_mean(size: int):
    exact = avg_pool2d(IMAGES.double(), 32 // size)
    pooled = to_side(IMAGES, size)
    assert pooled.dtype == torch.uint8
    assert torch.equal(pooled, torch.floor(exact + 0.5).to(torch.uint8))


def test_the_same_size_is_the_same_image():
    assert torch.equal(to_side(IMAGES, 32), IMAGES)


def test_twice_the_size_replicates_and_pools_back_exactly():
    doubled = to_side(IMAGES, 64)
    assert torch.equal(doubled[..., ::2, 1::2], IMAGES)
    assert torch.equal(to_side(doubled, 32), IMAGES)


def test_a_frame_of_black_is_put_around_what_does_not_fill():
    framed = to_side(IMAGES[..., :28, :28], 32)
    assert torch.equal(framed[..., 2:30, 2:30], IMAGES[..., :28, :28])
    assert framed.sum() == IMAGES[..., :28, :28].sum()


@pytest.mark.parametrize(("side", "size"), [(28, 16), (32, 28), (28, 8), (8, 28), (8, 32), (32, 5)])
def test_every_size_can_be_had(side: int, size: int):
    images = torch.full((2, 1, side, side), 7, dtype=torch.uint8)
    fitted = to_side(images, size)
    assert fitted.shape == (2, 1, size, size)
    assert fitted.is_contiguous()
    assert fitted[..., size // 2, size // 2].eq(7).all()


def test_channels_are_averaged_and_replicated():
    grey = to_channels(IMAGES, 1)
    assert (grey.double() - IMAGES.double().mean(1, keepdim=True)).abs().max() <= 0.5
    colour = to_channels(grey, 3)
    assert colour.shape == IMAGES.shape
    assert all(torch.equal(colour[:, c : c + 1], grey) for c in range(3))
    assert to_channels(IMAGES, 3) is IMAGES


def test_a_size_that_does_not_divide_is_refused_with_those_that_do():
    with pytest.raises(DataError, match=r"size = 12: mnist is 28 pixels wide and can be pooled to 28, 14, 7, 4, 2, 1"):
        check_side("mnist", 28, 12)
    check_side("mnist", 28, 14)
    check_side("mnist", 28, 32)
