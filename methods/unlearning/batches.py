"""Batches of a small set of images for loops that go over two sets at once, which `bench.models.train.fit` does not."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.device import as_input
from bench.errors import BenchError
from bench.models.augment import Augmentation, augment


def epoch(
    images: Tensor, batch_size: int, augmentation: Augmentation, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, in a new order: (x float [B, C, H, W] in [0, 1], index int64 [B] of their rows), on the device.

    Batches are as equal as can be, none larger than `batch_size`: a last batch of two images would be a step as large
    as any other, on hardly any data. Of no images there is no batch.

    Args:
        images: uint8 [N, C, H, W].
        batch_size: at most.
        augmentation: as in a recipe.
        generator: on the CPU; order and augmentation are drawn from it.
        device: where the batches go.
    """
    return divided(images, number_of_batches(len(images), batch_size), augmentation, generator, device)


def divided(
    images: Tensor, batches: int, augmentation: Augmentation, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """`epoch` with the number of its batches in place of their size; the other arguments are those of `epoch`."""
    if not len(images):
        return
    order = torch.randperm(len(images), generator=generator)
    pictures = augment(images[order], augmentation, generator)
    for rows in torch.arange(len(images)).tensor_split(batches):
        yield as_input(pictures[rows].to(device)), order[rows].to(device)


def endless(
    images: Tensor, batch_size: int, augmentation: Augmentation, generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """`epoch` after `epoch`. Raises BenchError where there are no images, for it would never come to one."""
    if not len(images):
        raise BenchError("endless: no images to go round")
    while True:
        yield from epoch(images, batch_size, augmentation, generator, device)


def number_of_batches(images: int, batch_size: int) -> int:
    """Batches of one epoch."""
    return -(-images // batch_size)
