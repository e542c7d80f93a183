"""ABD's Self-Retrospection: in a stage of its own, a student unlearns what one small change of all images does to it.

Hong, Zeng, Yu, Lyu, Jia and Zhou, ICML 2023, arXiv:2306.02368; facts checked against the authors' code
(illidanlab/ABD, `cmi/datafree/unlearn.py`), which takes the implicit gradient from I-BAU (Zeng et al., ICLR 2022,
arXiv:2110.03735) and its fixed-point iterations from Grazzi et al. (ICML 2020, arXiv:2006.16218).

The stage is the authors' (`datafree_kd.py`, `--unlearn_resume`): the host's loop goes on, and the student takes the
gradient of retrospection beside that of the host's loss, by an optimiser that knows nothing of before. Their
sweeps go back to the checkpoint before the last or last but one of 200 epochs, where the host's cosine has come down to
nothing, and take 400 or 800 updates (0.5 or 1 % of all) by SGD at 5e-4, in the second epoch at half of it: the rates
sum to 0.20 or 0.30.

Differs from the code: the stage has to fit the board's budget, of which it takes the last updates, fewer and at a
higher rate, of the same sum: 100 at 3e-3 by default. The host's cosine, which runs over the whole budget, is cut off
there. The gradient is clipped as in every update of the board. (On ZSKT the code's stage is one of Adam, at 1e-4 or
5e-4, and without the vaccine.) The student's running statistics of BatchNorm see the images that it is distilled on and
not the perturbed ones; the perturbation starts at a small random point, since the gradient at its zero is zero but for
rounding (from which the code's Adam takes off).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.generator import normalizer
from methods.datafree.student import StudentTraining
from methods.distillation.losses import distillation_kl

SCALE = 0.1
"""Learning rate of the Adam that finds the perturbation, and step of the inner map, in units of normalised pixels."""
RIDGE = 1e-3
"""Weight of the perturbation's squared norm in the inner loss."""
ITERATIONS = 5
"""Of the fixed point that gives the implicit gradient."""
START = 1e-2
"""Standard deviation of the perturbation's first value."""

Objective = Callable[[Tensor], Tensor]


class RetrospectiveTraining(StudentTraining):
    """A host's training of its student, whose last updates are the stage.

    Args:
        task: gives teacher, temperature, budget and random draws.
        weight: of retrospection's gradient beside that of distillation.
        updates: of the stage; the whole budget where it allows fewer. (Of a budget of seconds: the share that so many
            are of the board's `steps`.)
        rate: the stage's constant learning rate.
        portion: share of a batch on which the student must not mind the perturbation; at least one image.
        steps: of Adam, that find the perturbation.
    """

    def __init__(
        self, task: DataFreeTask, *, weight: float, updates: int, rate: float, portion: float, steps: int
    ) -> None:
        super().__init__(task, self._term)
        self._begin = 1 - min(updates / task.budget.steps, 1) if weight else 1.0
        self._begun = False
        self._weight = weight
        self._rate = rate
        self._portion = portion
        self._steps = steps

    @property
    def retrospecting(self) -> bool:
        """Whether the next update is one of the stage."""
        return self.spent >= self._begin - 1e-9

    def update(self, loss: Callable[[], Tensor], x: Tensor) -> None:
        """One step down the host's `loss()` and, in the stage, down retrospection too, at the stage's rate."""
        if self.retrospecting and not self._begun:
            self._begun = True
            self._optimizer.state.clear()  # no momentum of before
            self._optimizer.register_step_pre_hook(self._hold_rate)
        super().update(loss, x)

    def _term(self, student: nn.Module, x: Tensor, spent: float) -> Tensor | None:
        if spent < self._begin - 1e-9:
            return None
        return self._weight * retrospection(self._task, student, x, self._portion, self._steps)

    def _hold_rate(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Put the stage's rate in place of that of the host's cosine."""
        for group in optimizer.param_groups:
            group["lr"] = self._rate


def retrospection(task: DataFreeTask, student: nn.Module, x: Tensor, portion: float, steps: int) -> Tensor:
    """How much the student minds the perturbation on a part of a batch: a scalar, with the implicit gradient.

    Args:
        task: gives teacher, temperature and random draws.
        student: in train mode.
        x: images [B, C, H, W].
        portion: share of a batch that carries the perturbation; at least one image.
        steps: of Adam, that find it.
    """
    std = normalizer(task.teacher)[1]
    count = max(1, round(portion * len(x)))
    marked = torch.randperm(len(x), generator=task.generator)[:count].to(x.device)
    patch = x.new_zeros(len(x), 1, 1, 1).index_fill(0, marked, 1.0)
    parameters = dict(student.named_parameters())
    buffers = {name: b.clone() for name, b in student.named_buffers()}

    def ask(images: Tensor) -> Tensor:
        return functional_call(student, {**parameters, **buffers}, (images,))

    def outer(d: Tensor) -> Tensor:
        return distillation_kl(ask(x + patch * d * std), ask(x), task.temperature)

    with torch.no_grad():
        unmoved = ask(x)

    def inner(d: Tensor) -> Tensor:
        return RIDGE * d.square().sum() - distillation_kl(ask(x + d * std), unmoved, task.temperature)

    return implicit(outer, inner, perturbation(task, x, steps, std), step=SCALE, iterations=ITERATIONS)


def perturbation(task: DataFreeTask, x: Tensor, steps: int, std: Tensor) -> Tensor:
    """One change [1, C, H, W], in units of normalised pixels, that moves the teacher's answers to all images most.

    Args:
        x: images [B, C, H, W].
        steps: of Adam.
        std: of the teacher's normaliser, [C, 1, 1] or the like.
    """
    with torch.no_grad():
        t = task.teacher(x)
    d = (START * torch.randn(1, *x.shape[1:], generator=task.generator)).to(x.device).requires_grad_()
    optimizer = torch.optim.Adam([d], lr=SCALE, maximize=True)
    for _ in range(steps):
        moved = distillation_kl(task.teacher(x + d * std), t, task.temperature)
        (d.grad,) = torch.autograd.grad(moved, d)
        optimizer.step()
    return d.detach()


def implicit(outer: Objective, inner: Objective, d: Tensor, *, step: float, iterations: int) -> Tensor:
    """The value of `outer(d)`, with the gradient that it has where d follows the parameters as a minimum of `inner`.

    With the map Phi(d, theta) = d - step * grad_d inner, of which a minimum is a fixed point, that gradient is

        d outer / d theta + (d Phi / d theta)^T v,    v = (1 - d Phi / d d)^-T grad_d outer,

    v being approached by `iterations` rounds of v <- (d Phi / d d)^T v + grad_d outer, from 0.

    Args:
        outer: what the parameters minimise; a scalar, of d and (by closure) of the parameters.
        inner: what d minimises.
        d: where both are evaluated; a constant.
    """
    d = d.detach().requires_grad_()
    value = outer(d)
    (pull,) = torch.autograd.grad(value, d, retain_graph=True)
    (slope,) = torch.autograd.grad(inner(d), d, create_graph=True)
    mapped = d - step * slope
    v = pull  # the first round from 0
    for _ in range(iterations - 1):
        v = torch.autograd.grad(mapped, d, v, retain_graph=True)[0] + pull
    return value + (v.detach() * (mapped - mapped.detach())).sum()
