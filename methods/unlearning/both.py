"""Training on retained and forgotten rows as one shuffled set, for methods that give both something to learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models.train import Loss, fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe


def train_on_both(
    task: UnlearnTask,
    model: nn.Module,
    recipe: Recipe,
    retained: tuple[Tensor, Tensor],
    forgotten: tuple[Tensor, Tensor],
    loss: Loss | None = None,
) -> None:
    """Train a model in place on the retained rows followed by the forgotten ones.

    Without forgotten rows this is training on the retained ones, to the last bit.

    Args:
        task: its generator draws order and augmentation.
        model: trained in place.
        recipe: as in `fit`.
        retained: images, uint8 [R, C, H, W], and labels, int64 [R].
        forgotten: images, uint8 [F, C, H, W], and labels, int64 [F]; their rows have the indices R to R + F - 1.
        loss: as in `fit`.
    """
    images, labels = (torch.cat(pair) for pair in zip(retained, forgotten, strict=True))
    fit(
        model,
        images,
        labels,
        recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
