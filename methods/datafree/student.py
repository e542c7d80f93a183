"""The student's side of every data-free method: one optimiser, one schedule, one number of updates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.device import as_input
from bench.models.augment import augment
from bench.scenarios.datafree import DataFreeTask
from methods.distillation.losses import distillation_kl

MOMENTUM = 0.9
LARGEST_GRADIENT = 5.0
"""Gradients of a larger norm are scaled down to it: generators that seek disagreement find steep places."""


class StudentTraining:
    """SGD with momentum and clipped gradients, its learning rate falling along a cosine to zero over `task.steps`.

    Every row of a board trains its student by this class, so that rows differ in their images and losses only.
    """

    def __init__(self, task: DataFreeTask) -> None:
        self.model = task.compute.place(task.student).train()
        self.done = 0
        self._task = task
        self._optimizer = torch.optim.SGD(
            self.model.parameters(), lr=task.lr, momentum=MOMENTUM, weight_decay=task.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=task.steps)

    @property
    def left(self) -> int:
        """Updates that the budget still allows."""
        return self._task.steps - self.done

    def update(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`, a scalar."""
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self._optimizer.step()
        self._schedule.step()
        self.done += 1
        self._task.progress(self.done, self._task.steps)

    def imitate(self, x: Tensor, target: Tensor) -> None:
        """One update by distillation at the board's temperature.

        Args:
            x: images [B, C, H, W].
            target: the teacher's logits [B, K] for them, without graph.
        """
        with self._task.compute.autocast():
            loss = distillation_kl(self.model(x), target, self._task.temperature)
        self.update(loss)


def distill(training: StudentTraining, images: Tensor, task: DataFreeTask, steps: int) -> None:
    """`steps` updates by distillation on random batches of `images`, uint8 [N, C, H, W], augmented as in training."""
    images = images.to(task.device)
    for _ in range(steps):
        rows = torch.randint(len(images), (task.batch_size,), generator=task.generator).to(task.device)
        x = as_input(augment(images[rows], task.recipe.augment, task.generator))
        training.imitate(x, targets(task, x))


@torch.no_grad()
def targets(task: DataFreeTask, x: Tensor) -> Tensor:
    """The teacher's logits [B, K] for images x [B, C, H, W], without graph."""
    with task.compute.autocast():
        return task.teacher(x)
