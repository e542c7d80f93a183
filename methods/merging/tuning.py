"""What is done with labelled images of a merge's tasks: training on all tasks at once, and the choice of one source."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.device import as_input
from bench.models.train import fit
from bench.scenarios.merge.scenario import MergeTask
from bench.schema.recipe import Recipe


def tune(
    task: MergeTask,
    model: nn.Module,
    features: Callable[[Tensor], Tensor],
    *,
    lr: float | None = None,
) -> None:
    """`train_jointly` on the few labelled images, under the scenario's recipe for them.

    Args:
        task: its images, labels, heads, recipe and generator are used.
        model: holds what is trained, every parameter of it that requires a gradient.
        features: pixels [B, C, H, W] -> features [B, d], a function of those parameters.
        lr: peak learning rate in place of the recipe's.
    """
    recipe = task.recipe if lr is None else task.recipe.model_copy(update={"peak_lr": lr})
    train_jointly(task, model, features, task.inputs, task.labels, recipe)


def train_jointly(
    task: MergeTask,
    model: nn.Module,
    features: Callable[[Tensor], Tensor],
    images: Sequence[Tensor],
    labels: Sequence[Tensor],
    recipe: Recipe,
) -> None:
    """Minimise the mean cross-entropy over the examples of all tasks, each under its own task's head.

    Args:
        task: its heads and generator are used.
        model: holds what is trained, every parameter of it that requires a gradient.
        features: pixels [B, C, H, W] -> features [B, d], a function of those parameters.
        images: of each task, uint8 [N, C, H, W].
        labels: of each task, as its head counts them, int64 [N].
        recipe: how long and how.
    """
    owner = torch.cat([torch.full((len(y),), t) for t, y in enumerate(labels)]).to(task.device)

    def loss(_: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        z = features(x)
        parts = [
            nn.functional.cross_entropy(head(z[mine]), y[mine], reduction="sum")
            for t, head in enumerate(task.heads)
            if (mine := owner[index] == t).any()
        ]
        return torch.stack(parts).sum() / len(y)

    fit(
        model,
        torch.cat(list(images)),
        torch.cat(list(labels)),
        recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )


@torch.no_grad()
def best_source(task: MergeTask) -> int:
    """Number of the source with the lowest mean cross-entropy on all labelled images under the tasks' fixed heads.

    Cross-entropy rather than accuracy, which on few images is a tie more often than not. Nothing is trained.
    """
    losses = []
    for parent in task.parents:
        parts = zip(task.heads, task.inputs, task.labels, strict=True)
        total = sum(
            nn.functional.cross_entropy(
                head(parent.features(as_input(images.to(task.device)))), labels.to(task.device), reduction="sum"
            )
            for head, images, labels in parts
        )
        losses.append(float(total))
    return min(range(len(losses)), key=losses.__getitem__)
