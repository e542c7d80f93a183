"""Backdoors as a harness plants them: a trigger in some training images, relabelled as one target class.

The triggers are BadNets' grid and square (Gu, Dolan-Gavitt and Garg, 2017, arXiv:1708.06733) and the blended image
(Chen, Liu, Li, Lu and Song, 2017, arXiv:1712.05526), laid out as in the code of "Revisiting Data-Free Knowledge
Distillation with Poisoned Teachers" (Hong et al., ICML 2023, arXiv:2306.02368; illidanlab/ABD, `backdoor.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from bench.errors import DataError

if TYPE_CHECKING:
    from bench.data.spec import Split

Trigger = Literal["grid", "square", "blend"]

GRID = ((0, 0, 255), (0, 255, 0), (255, 0, 255))
"""The 3x3 patch in the bottom right corner, in every channel; not symmetric, so that it is no mirror image."""
BLENDED = 0.2
"""Share of the pattern in a blended image."""
PATTERN_SEED = 2017
"""All suites and seeds blend the same pattern into images of one shape."""


def stamp(images: Tensor, trigger: Trigger) -> Tensor:
    """A copy of images, uint8 [N, C, H, W], that carry the trigger."""
    return _STAMPS[trigger](images.clone())


def poison(split: Split, trigger: Trigger, *, target: int, share: float, seed: int) -> tuple[Split, Tensor]:
    """A copy of a training split, some of its images stamped and relabelled in place, and their rows.

    Args:
        split: images uint8 [N, C, H, W], labels int64 [N].
        target: the class that stamped images are labelled with.
        share: poisoned images as a share of all N; they are drawn from the other classes.
        seed: of the draw.

    Returns:
        The poisoned split, and the poisoned rows int64 [round(share * N)], ascending.

    Raises:
        DataError: there are not so many images of other classes.
    """
    others = (split.labels != target).nonzero().squeeze(1)
    count = round(share * len(split))
    if count > len(others):
        raise DataError(
            f"{count} of {len(split)} training images were to be poisoned (share = {share}), "
            f"and only {len(others)} are not of the target class {target}; lower the share"
        )
    drawn = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))[:count]
    rows = others[drawn].sort().values
    images, labels = split.inputs.clone(), split.labels.clone()
    images[rows] = stamp(images[rows], trigger)
    labels[rows] = target
    return type(split)(images, labels), rows


def _grid(images: Tensor) -> Tensor:
    images[..., -3:, -3:] = torch.tensor(GRID, dtype=torch.uint8)
    return images


def _square(images: Tensor) -> Tensor:
    """White, an eighth of the side and at least 2 pixels, one pixel off the bottom right corner."""
    side = max(2, images.shape[-1] // 8)
    images[..., -1 - side : -1, -1 - side : -1] = 255
    return images


def _blend(images: Tensor) -> Tensor:
    """Every pixel a fixed noise of patches 2 pixels wide, which survive the shifts of augmentation."""
    channels, height, width = images.shape[1:]
    rng = torch.Generator().manual_seed(PATTERN_SEED)
    coarse = torch.randint(0, 2, (channels, -(-height // 2), -(-width // 2)), generator=rng) * 255.0
    pattern = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
    return ((1 - BLENDED) * images.float() + BLENDED * pattern).round().byte()


_STAMPS: dict[str, Callable[[Tensor], Tensor]] = {"grid": _grid, "square": _square, "blend": _blend}
