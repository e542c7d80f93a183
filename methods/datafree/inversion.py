"""Batches inverted out of a teacher by a generator, and the pool of them that a student learns from.

What CMI, Fast-DFKD and NAYER share: a few steps of Adam on a generator, the best of their batches kept in a growing
pool, then some updates of the student on augmented images of the whole pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.models.augment import augment
from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.losses import decision_adversarial
from methods.datafree.online import Term
from methods.datafree.pool import ImagePool
from methods.datafree.student import StudentTraining, distill, still

LONGEST_WARMUP = 0.2
"""Where seconds are the budget, no batch of the warm-up begins after this share of them."""


class InversionLoss:
    """bn * R_bn + oh * CE(T(x'), classes) + adv * L_adv, and a further term; x' are the images augmented.

    Args:
        task: gives the teacher, and by its recipe the augmentation: that of the student's updates.
        student: asked only where `adv` is positive and the call is adversarial.
        statistics: of the teacher's BatchNorm layers.
    """

    def __init__(
        self,
        task: DataFreeTask,
        student: nn.Module,
        statistics: BatchNormStatistics,
        extra: Term | None = None,
        *,
        bn: float,
        oh: float,
        adv: float,
    ) -> None:
        self._task = task
        self._student = student
        self._extra = extra
        self.statistics = statistics
        self.bn, self.oh, self.adv = bn, oh, adv

    def __call__(self, images: Tensor, classes: Tensor, *, adversarial: bool = True) -> Tensor:
        """A scalar, for images [B, C, H, W] with their graph that shall be of `classes`, int64 [B]."""
        task = self._task
        x = augment(images, task.recipe.augment, task.generator)
        with task.compute.autocast():
            t = task.teacher(x)
            loss = self.oh * cross_entropy(t, classes) + self.bn * self.statistics.distance()
            if adversarial and self.adv > 0:
                loss = loss + self.adv * decision_adversarial(self._student(x), t)
            if self._extra is not None:
                loss = loss + self._extra(x, t)
        return loss


class Lowest:
    """Copies of what belonged to the lowest loss so far, made without waiting for the device."""

    def __init__(self) -> None:
        self.kept: tuple[Tensor, ...] = ()
        self._loss: Tensor | None = None

    def offer(self, loss: Tensor, *tensors: Tensor) -> None:
        """Keep the tensors if the loss, a scalar, is below all earlier ones."""
        loss, new = loss.detach(), [tensor.detach() for tensor in tensors]
        if self._loss is None:
            self._loss, self.kept = loss, tuple(tensor.clone() for tensor in new)
            return
        better = loss < self._loss
        self.kept = tuple(torch.where(better, a, b) for a, b in zip(new, self.kept, strict=True))
        self._loss = torch.minimum(loss, self._loss)


@contextmanager
def at_rest(student: nn.Module) -> Iterator[None]:
    """The student in eval mode, its parameters not requiring gradients: as synthesis looks at it."""
    student.eval()
    with still(student):
        yield
    student.train()


def alternate(
    task: DataFreeTask,
    training: StudentTraining,
    synthesise: Callable[[bool], Tensor],
    *,
    kd_steps: int,
    warmup: int = 0,
) -> nn.Module:
    """Add a batch to the pool, train on the whole pool, and repeat until the budget is used up.

    Args:
        synthesise: makes images [B, C, H, W] in [0, 1]; is told whether the warm-up is over, so that an untaught
            student has no say in the first batches.
        kd_steps: updates of the student for a batch.
        warmup: batches before the first update.

    Returns:
        The student.
    """
    pool = ImagePool(task)
    for _ in range(warmup):
        if training.spent < LONGEST_WARMUP:
            with at_rest(training.model):
                pool.add(synthesise(False))
    while training.running:
        with at_rest(training.model):
            pool.add(synthesise(True))
        distill(training, pool.images, task, kd_steps)
    return training.model


def random_classes(task: DataFreeTask, size: int) -> Tensor:
    """Uniform class indices, int64 [size]."""
    return torch.randint(task.num_classes, (size,), generator=task.generator).to(task.device)


def noise(task: DataFreeTask, size: int, nz: int) -> Tensor:
    """Standard normal latents [size, nz] that are optimised like weights."""
    return torch.randn(size, nz, generator=task.generator).to(task.device).requires_grad_()


def reset_normal(network: nn.Module) -> None:
    """DCGAN's initial weights: N(0, 0.02), scales of BatchNorm N(1, 0.02), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.BatchNorm2d) and module.weight is not None:
            nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
