"""Augmentation of a whole batch (or epoch) at once: random crops and flips as one gather."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from bench.errors import BenchError

Augmentation = Literal["none", "shift", "crop-flip"]


def augment(inputs: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """Move every image by its own offset, up to an eighth of the side both ways; other kinds of inputs only pass.

    `shift` fills with zeros (digits lie on black). `crop-flip` reflects at the border, and mirrors every second
    image left to right on average.

    Args:
        inputs: uint8 or float [N, C, H, W] on any device; with `none` of any kind.
        kind: `none` gives the inputs themselves.
        generator: on the CPU, so that all devices see the same draws.

    Returns:
        Images of the same shape and type, in channels_last.

    Raises:
        BenchError: something else than images is to be moved.
    """
    if kind == "none":
        return inputs
    if inputs.dim() != 4:
        shape = list(inputs.shape)
        raise BenchError(
            f"augment = {kind!r} moves pixels of images, and these inputs are {shape}: set augment = 'none'"
        )
    images = inputs
    n, _, height, width = images.shape
    rows = _positions(n, height, generator)
    columns = _positions(n, width, generator)
    if kind == "crop-flip":
        flip = torch.rand(n, generator=generator) < 0.5
        columns = torch.where(flip[:, None], columns.flip(1), columns)
        return _gather(images, _reflect(rows, height), _reflect(columns, width))
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    moved = _gather(images, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    return moved.mul_(inside[:, None].to(images.device))


def _positions(n: int, side: int, generator: torch.Generator) -> Tensor:
    """Source position of every target position [n, side], before the border is dealt with."""
    reach = max(1, side // 8)
    return torch.arange(side) + torch.randint(-reach, reach + 1, (n, 1), generator=generator)


def _reflect(position: Tensor, side: int) -> Tensor:
    """Positions beyond a border mirrored at the outermost pixel, which is not repeated."""
    return (side - 1) - ((side - 1) - position.abs()).abs()


def _gather(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """images[n, :, rows[n], columns[n]], as [N, C, H, W] whose memory is channels_last (indexing puts C last)."""
    device = images.device
    each = torch.arange(len(images), device=device)[:, None, None]
    return images[each, :, rows.to(device)[:, :, None], columns.to(device)[:, None, :]].permute(0, 3, 1, 2)
