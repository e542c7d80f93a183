"""ABD's Self-Retrospection: late in its training a student unlearns what one small change of all images does to it.

Hong, Zeng, Yu, Lyu, Jia and Zhou, ICML 2023, arXiv:2306.02368; facts checked against the authors' code
(illidanlab/ABD, `cmi/datafree/unlearn.py`), which takes the implicit gradient from I-BAU (Zeng et al., ICLR 2022,
arXiv:2110.03735) and its fixed-point iterations from Grazzi et al. (ICML 2020, arXiv:2006.16218).

Differs from the code: the student's running statistics of BatchNorm see the images that it is distilled on and not the
perturbed ones; the perturbation starts at a small random point, since the gradient at its zero is zero but for
rounding (from which the code's Adam takes off).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.scenarios.datafree.scenario import DataFreeTask
from methods.datafree.generator import normalizer
from methods.datafree.student import ExtraLoss
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


def retrospection(task: DataFreeTask, *, weight: float, last: float, portion: float, steps: int) -> ExtraLoss:
    """A term of the student's loss over the last share of the budget.

    Args:
        task: gives teacher, temperature and random draws.
        weight: of the term.
        last: share of the budget.
        portion: share of a batch on which the student must not mind the perturbation; at least one image.
        steps: of Adam, that find it.
    """
    std = normalizer(task.teacher)[1]

    def extra(student: nn.Module, x: Tensor, spent: float) -> Tensor | None:
        if spent < 1 - last:
            return None
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

        d = perturbation(task, x, steps, std)
        return weight * implicit(outer, inner, d, step=SCALE, iterations=ITERATIONS)

    return extra


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
