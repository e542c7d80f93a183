"""Images at another size, by rules that never interpolate: pooling, replication, padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def check_side(name: str, side: int, size: int) -> None:
    """Refuse a size that mean pooling cannot give.

    Raises:
        DataError: `size` is smaller than `side` and does not divide it; the message lists what would do.
    """
    if size < side and side % size:
        fitting = ", ".join(str(n) for n in range(side, 0, -1) if side % n == 0)
        raise DataError(f"[data] size = {size}: {name} is {side} pixels wide and can be pooled to {fitting}")


def to_side(images: Tensor, size: int) -> Tensor:
    """uint8 [N, C, h, h] -> [N, C, size, size].

    Downwards by mean pooling (rounded) with the nearest whole factor, upwards by replication of pixels with the
    largest whole factor; what is then missing is padded with black, what is too much is cut off, both evenly.
    """
    import torch

    h = images.shape[-1]
    if size == h:
        return images
    if size < h:
        factor = max(1, round(h / size))
        framed = _framed(images, factor * size)
        blocks = framed.unflatten(-1, (size, factor)).unflatten(-3, (size, factor))
        total = blocks.sum(dim=(-3, -1), dtype=torch.int32)
        return ((2 * total + factor**2) // (2 * factor**2)).to(torch.uint8)
    factor = size // h
    return _framed(images.repeat_interleave(factor, -1).repeat_interleave(factor, -2), size).contiguous()


def to_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 [N, c, h, w] -> [N, channels, h, w]: the mean of all channels, replicated, unless they agree already."""
    import torch

    c = images.shape[1]
    if c == channels:
        return images
    grey = ((2 * images.sum(1, keepdim=True, dtype=torch.int32) + c) // (2 * c)).to(torch.uint8)
    return grey.repeat(1, channels, 1, 1)


def _framed(images: Tensor, size: int) -> Tensor:
    """Padded with black or cropped to [N, C, size, size], the centre staying the centre."""
    from torch.nn.functional import pad

    before = (size - images.shape[-1]) // 2
    after = size - images.shape[-1] - before
    return pad(images, (before, after, before, after))
