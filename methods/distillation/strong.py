"""Strong augmentation of a batch on the device, after RandAugment (Cubuk et al. 2019, arXiv:1909.13719) and FixMatch
(Sohn et al. 2020, arXiv:2001.07685): two distortions an image, then a square cut out.

Of FixMatch's fourteen operations those stay that are one formula over a batch: nothing, brightness, contrast, colour,
posterize, solarize, rotation, two shears and two shifts, over the same ranges. Left out are autocontrast, equalize and
sharpness. Shears, shifts and rotation of an image are applied as one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

KINDS = 11
ROTATION, SHEAR, SHIFT, CUT = math.radians(30), 0.3, 0.3, 0.5
"""Largest: angle, shear, shift and side of the cut, the latter two as shares of the image's side."""
LEAST_FACTOR, MOST_FACTOR = 0.05, 0.95
"""Of brightness, contrast and colour."""


def strong_view(x: Tensor) -> Tensor:
    """Each image of [B, C, H, W] in [0, 1] in a strongly distorted view; drawn from torch's global generator."""
    where = torch.eye(2, 3).expand(len(x), 2, 3)
    for _ in range(2):
        kind = torch.randint(KINDS, (len(x),))
        size = torch.rand(len(x))
        x = _recoloured(x, kind, size)
        where = _moved(where, kind, 2 * size - 1)
    grid = nn.functional.affine_grid(where.to(x), list(x.shape), align_corners=False)
    moved = nn.functional.grid_sample(x, grid, align_corners=False)
    return _cut(moved).contiguous(memory_format=torch.channels_last)


def _recoloured(x: Tensor, kind: Tensor, size: Tensor) -> Tensor:
    """Operations 1 to 5 by a size in [0, 1], on the images that have them."""
    kind, size = (draw.to(x.device)[:, None, None, None] for draw in (kind, size))
    factor = LEAST_FACTOR + (MOST_FACTOR - LEAST_FACTOR) * size
    grey = x.mean(1, keepdim=True)
    levels = 2 ** (4 + (5 * size).floor().clamp(max=4))
    x = torch.where(kind == 1, factor * x, x)
    x = torch.where(kind == 2, grey.mean((2, 3), keepdim=True).lerp(x, factor), x)
    x = torch.where(kind == 3, grey.lerp(x, factor), x)
    x = torch.where(kind == 4, (x * 255 // (256 / levels)) * (256 / levels) / 255, x)
    return torch.where((kind == 5) & (x >= size), 1 - x, x)


def _moved(where: Tensor, kind: Tensor, size: Tensor) -> Tensor:
    """Affine maps [B, 2, 3], followed by operations 6 to 10 by a size in [-1, 1] on the images that have them."""
    angle = ROTATION * size * (kind == 6)
    move = torch.eye(3).repeat(len(where), 1, 1)
    move[:, 0, 0] = move[:, 1, 1] = angle.cos()
    move[:, 0, 1] = SHEAR * size * (kind == 7) - angle.sin()
    move[:, 1, 0] = SHEAR * size * (kind == 8) + angle.sin()
    move[:, 0, 2] = 2 * SHIFT * size * (kind == 9)
    move[:, 1, 2] = 2 * SHIFT * size * (kind == 10)
    return where @ move


def _cut(x: Tensor) -> Tensor:
    """A grey square anywhere in each image, of a side from nothing to half."""
    height, width = x.shape[2:]
    side, row, column = torch.rand(3, len(x), 1)
    rows = ((torch.arange(height) + 0.5) / height - row).abs() < CUT * side / 2
    columns = ((torch.arange(width) + 0.5) / width - column).abs() < CUT * side / 2
    inside = (rows[:, None, :, None] & columns[:, None, None, :]).to(x.device)
    return x.masked_fill(inside, 0.5)
