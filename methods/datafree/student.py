"""The student's side of every data-free method: one optimiser, one schedule, one budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.device import as_input
from bench.models.augment import augment
from bench.scenarios.datafree.scenario import DataFreeTask
from methods.distillation.losses import distillation_kl

MOMENTUM = 0.9
LARGEST_GRADIENT = 5.0
"""Gradients of a larger norm are scaled down to it: generators that seek disagreement find steep places."""

ExtraLoss = Callable[[nn.Module, Tensor, float], Tensor | None]
"""extra(student, x, spent): a term of every update's loss, or None; x [B, C, H, W] are the update's images and
`spent` the share of the budget used up."""


class StudentTraining:
    """SGD with momentum and clipped gradients, its learning rate falling along a cosine to zero over the budget.

    Every row of a board trains its student by this class, so that rows differ in their images and losses only.
    """

    def __init__(
        self,
        task: DataFreeTask,
        extra: ExtraLoss | None = None,
        also: Iterable[nn.Parameter] = (),
        settle: Callable[[nn.Module], object] | None = None,
    ) -> None:
        """`also` are parameters that are trained like the student's and are not its own, such as a projection.

        `settle(student)` is called after every step, before the harness looks: it writes into the student what was
        trained outside of it.
        """
        self.model = task.compute.place(task.student).train()
        self.done = 0
        """Updates so far."""
        self._task = task
        self._extra = extra
        self._settle = settle
        self._parameters = [*self.model.parameters(), *also]
        self._optimizer = torch.optim.SGD(
            self._parameters, lr=task.lr, momentum=MOMENTUM, weight_decay=task.weight_decay, fused=True
        )

    @property
    def spent(self) -> float:
        """Share of the budget that is used up, in [0, 1]: what schedules of a method go by."""
        return self._task.budget.spent(self.done)

    @property
    def running(self) -> bool:
        """Whether the budget still allows an update."""
        return self.spent < 1.0

    def up_to(self, updates: int) -> Iterator[int]:
        """Counts so many updates, or fewer where the budget ends."""
        for i in range(updates):
            if not self.running:
                return
            yield i

    def update(self, loss: Callable[[], Tensor], x: Tensor) -> None:
        """One step down the gradient of `loss()`, a scalar, evaluated under the board's precision.

        Args:
            x: the images [B, C, H, W] that the loss looks at.
        """
        task = self._task
        with task.monitor.distilling():
            with task.compute.autocast():
                value = loss()
                if self._extra is not None and (more := self._extra(self.model, x, self.spent)) is not None:
                    value = value + more
            self._optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(self._parameters, LARGEST_GRADIENT)
            for group in self._optimizer.param_groups:
                group["lr"] = task.lr * (1 + math.cos(math.pi * self.spent)) / 2
            self._optimizer.step()
            if self._settle is not None:
                self._settle(self.model)
        self.done += 1
        self._tell(x)

    def imitate(self, x: Tensor, t: Tensor | None = None) -> None:
        """One update by distillation at the board's temperature.

        Args:
            x: images [B, C, H, W], without graph.
            t: the teacher's logits [B, K] for them, where they are known; without graph.
        """

        def loss() -> Tensor:
            known = targets(self._task, x) if t is None else t
            return distillation_kl(self.model(x), known, self._task.temperature)

        self.update(loss, x)

    def _tell(self, x: Tensor) -> None:
        """Let the harness look at the student, evenly over the budget and at its end."""
        task, spent = self._task, self.spent
        task.progress(min(int(spent * 1000), 1000), 1000)
        if task.monitor.due(spent):
            with task.budget.stopped():
                task.monitor.look(self.model, spent, x)


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Its parameters require no gradient inside: a generator that learns through it does not pay for them."""
    trained = [p for p in network.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def distill(training: StudentTraining, images: Tensor, task: DataFreeTask, updates: int | None = None) -> None:
    """Updates by distillation on random batches of `images`, uint8 [N, C, H, W], augmented as in training.

    `updates` of them, or all that the budget allows.
    """
    images = images.to(task.device)
    rounds = 0
    while training.running and (updates is None or rounds < updates):
        rows = torch.randint(len(images), (task.batch_size,), generator=task.generator).to(task.device)
        training.imitate(as_input(augment(images[rows], task.recipe.augment, task.generator)))
        rounds += 1


@torch.no_grad()
def targets(task: DataFreeTask, x: Tensor) -> Tensor:
    """The teacher's logits [B, K] for images x [B, C, H, W], without graph."""
    with task.compute.autocast():
        return task.teacher(x)
