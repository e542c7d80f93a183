"""A generator that is trained beside the student: images are made, used once and dropped (DAFL, DFAD and their kin)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.generator import Generator, NormalizedPixels, normalizer
from methods.datafree.student import StudentTraining, still

Term = Callable[[Tensor, Tensor], Tensor]
"""term(x, t): a term of a synthesis loss; x [B, C, H, W] are images with their graph, t [B, K] the teacher's logits."""
SynthesisLoss = Callable[[Tensor, Tensor, nn.Module], Tensor]
"""loss(x, t, student): what a generator minimises."""


class Online:
    """A generator, its optimiser, and the loss that it descends.

    Args:
        task: gives teacher, image shape, batch size and noise.
        loss: of images, the teacher's logits for them, and the student, which is left in its mode.
        lr_g: learning rate of the generator's Adam; `betas` likewise.
        nz: length of the noise vector.
        ngf: width of the generator.

    Raises:
        Skip: the teacher has no normaliser.
    """

    def __init__(
        self,
        task: DataFreeTask,
        loss: SynthesisLoss,
        *,
        lr_g: float,
        nz: int,
        ngf: int,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self._task = task
        self._loss = loss
        pixels = NormalizedPixels(*normalizer(task.teacher))
        self.generator = Generator(nz, ngf, task.input_shape, pixels)
        task.compute.place(self.generator)
        self._optimizer = torch.optim.Adam(self.generator.parameters(), lr=lr_g, betas=betas)

    @torch.no_grad()
    def images(self, count: int) -> Tensor:
        """New images [count, C, H, W] for the student, without their graph."""
        with self._task.compute.autocast():
            return self.generator.sample(count, self._task.generator).float()

    def learn(self, student: nn.Module) -> tuple[Tensor, Tensor]:
        """One step of the generator; its images [B, C, H, W] and the teacher's logits [B, K], without graph."""
        with still(student), self._task.compute.autocast():
            x = self.generator.sample(self._task.batch_size, self._task.generator)
            t = self._task.teacher(x)
            loss = self._loss(x, t, student)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return x.detach().float(), t.detach()


def play(
    training: StudentTraining,
    online: Online,
    task: DataFreeTask,
    student_steps: int,
    learn: Callable[[Tensor], None],
    fresh: Callable[[], int] | None = None,
) -> nn.Module:
    """The adversarial loop: some updates of the student, each on new images, then one step of the generator.

    Args:
        learn: one update of the student on images [B, C, H, W].
        fresh: how many images the next update wants, where that is not a whole batch.

    Returns:
        The student, when the budget is used up.
    """
    while training.running:
        for _ in training.up_to(student_steps):
            learn(online.images(fresh() if fresh else task.batch_size))
        if training.running:
            online.learn(training.model)
    return training.model
