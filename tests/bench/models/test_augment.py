from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.models.augment import augment


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coordinates(n: int, side: int) -> torch.Tensor:
    """uint8 [n, 2, side, side] whose pixels are their own row and column, from 1."""
    rows, columns = torch.meshgrid(torch.arange(1, side + 1), torch.arange(1, side + 1), indexing="ij")
    return torch.stack([rows, columns]).to(torch.uint8).expand(n, -1, -1, -1)


@pytest.mark.parametrize("kind", ["shift", "crop-flip"])
@pytest.mark.parametrize(("side", "reach"), [(8, 1), (28, 3), (32, 4)])
def test_pixels_keep_their_neighbours_and_move_by_an_eighth_at_most(kind, side, reach):
    moved = augment(coordinates(200, side), kind, draw()).int()
    assert moved.shape == (200, 2, side, side)
    inner = moved[:, :, reach:-reach, reach:-reach]
    grid = coordinates(1, side)[:, :, reach:-reach, reach:-reach].int()
    offset = (inner - grid)[:, 0]
    assert (offset == offset[:, :1, :1]).all(), "an image moves as a whole"
    assert set(offset[:, 0, 0].tolist()) == set(range(-reach, reach + 1))
    step = inner[:, 1].diff(dim=2)
    assert step.abs().eq(1).all()
    mirrored = (step < 0).all(2).all(1)
    assert ((step > 0).all(2).all(1) | mirrored).all()
    assert mirrored.float().mean() == 0 if kind == "shift" else 0.3 < mirrored.float().mean() < 0.7


def test_a_shift_fills_with_zeros_and_loses_only_what_leaves():
    side, reach = 16, 2
    moved = augment(coordinates(100, side), "shift", draw()).int()
    seen = moved[:, 0] > 0
    assert (moved[:, 1] > 0).eq(seen).all()
    kept = seen.sum((1, 2))
    assert kept.min() >= (side - reach) ** 2
    assert kept.max() == side**2


def test_a_crop_reflects_at_the_border():
    side = 8
    moved = augment(coordinates(100, side), "crop-flip", draw()).int()
    assert moved.min() == 1
    down = moved[moved[:, 0, 1, 0] == 1]  # moved by one row: the row above the first is the second
    assert len(down)
    assert (down[:, 0, 0] == 2).all()


@given(
    n=st.integers(1, 5),
    channels=st.integers(1, 3),
    height=st.integers(2, 12),
    width=st.integers(2, 12),
    kind=st.sampled_from(["none", "shift", "crop-flip"]),
)
@settings(max_examples=30)
def test_shape_type_and_values_are_kept(n, channels, height, width, kind):
    images = torch.randint(1, 256, (n, channels, height, width), dtype=torch.uint8)
    moved = augment(images, kind, draw())
    assert moved.shape == images.shape
    assert moved.dtype == images.dtype
    for i in range(n):
        for c in range(channels):
            allowed = set(images[i, c].flatten().tolist()) | ({0} if kind == "shift" else set())
            assert set(moved[i, c].flatten().tolist()) <= allowed


@pytest.mark.parametrize("kind", ["shift", "crop-flip"])
def test_equal_generators_give_equal_draws_and_floats_move_like_bytes(kind):
    images = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8)
    before = images.clone()
    one, again, other = augment(images, kind, draw(1)), augment(images, kind, draw(1)), augment(images, kind, draw(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(augment(images.double(), kind, draw(1)), one.double())
    assert torch.equal(images, before)
    assert one.is_contiguous(memory_format=torch.channels_last)
