"""A generator that plays against the student: the host loop of adv-bn, lra-dfkd and their kin."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from bench.scenarios.datafree import DataFreeTask
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.generator import Generator, NormalizedPixels, normalizer


class Adversary:
    """A generator, its optimiser, and the teacher's statistics that hold it near the data.

    Args:
        task: gives teacher, image shape, batch size and noise.
        statistics: of the task's teacher, open.
        bn: weight of their distance in the generator's loss.
        lr_g: learning rate of the generator's Adam.
        nz: length of the noise vector.
        ngf: width of the generator.

    Raises:
        Skip: the teacher has no normaliser.
    """

    def __init__(
        self, task: DataFreeTask, statistics: BatchNormStatistics, *, bn: float, lr_g: float, nz: int, ngf: int
    ) -> None:
        self._task = task
        self._statistics = statistics
        self._bn = bn
        pixels = NormalizedPixels(*normalizer(task.teacher))
        self.generator = Generator(nz, ngf, task.input_shape, pixels)
        task.compute.place(self.generator)
        self._optimizer = torch.optim.Adam(self.generator.parameters(), lr=lr_g)

    @torch.no_grad()
    def images(self, count: int) -> Tensor:
        """New images [count, C, H, W] for the student, without their graph."""
        with self._task.compute.autocast():
            return self.generator.sample(count, self._task.generator).float()

    def learn(self, student: nn.Module) -> None:
        """One step of the generator on bn * R_bn - mean |S - T|, the student being left in its mode."""
        with self._task.compute.autocast():
            x = self.generator.sample(self._task.batch_size, self._task.generator)
            t = self._task.teacher(x)
            loss = self._bn * self._statistics.distance() - l1_loss(student(x), t)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
