"""MAD: Momentum Adversarial Distillation, Handling Large Distribution Shifts in Data-Free Knowledge Distillation.

Do, Le, Nguyen, Nguyen, Harikumar, Tran, Rana and Venkatesh, NeurIPS 2022, arXiv:2209.10359; no public code was found.
A generator that follows the student changes what it makes, and the student forgets. So a second generator, the
moving average of the first one's weights, goes on making older images, and the student learns from both:

    l0 * D(S, T) on images of the generator + l1 * D(S, T) on images of its average.

Differs from the paper: the host loop is `adv-bn`'s (mean absolute differences of logits, BatchNorm statistics in the
generator's loss), so that the two rows differ in nothing else; the board's batch is divided between both generators,
so that all rows see equally many images, where the paper's student sees a batch of each; l0 and l1 add up to 1 by
default, so that its steps are as long as the host's. The average generator normalises by the statistics of its own
batch, as the generator does, so that it has no BatchNorm averages that could be stale.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Fraction, Rate, Weight
from methods.datafree.adv_bn import synthesis_loss
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.online import Online, Term
from methods.datafree.student import StudentTraining, targets


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2209.10359", year=2022)
def mad(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    alpha: Fraction = 0.95,
    l0: Weight = 0.5,
    l1: Weight = 0.5,
    bn: Weight = 1.0,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """MAD: adversarial distillation on images of a generator and of the moving average of its weights.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        alpha: how much of the average stays at a step of the generator; at 0 the average is the generator itself.
        l0: weight of the generator's images in the student's loss (paper: 1).
        l1: weight of the average's (paper: 1).
        bn: as in `adv-bn`, like the rest.

    Raises:
        Skip: a batch of one image cannot be divided.
    """
    training = by or StudentTraining(task)
    if task.batch_size < 2:
        raise Skip(f"needs a batch of two generators' images, and batch_size is {task.batch_size}")
    shares = [task.batch_size - task.batch_size // 2, task.batch_size // 2]

    def learn(x: Tensor) -> None:
        def loss() -> Tensor:
            gaps = (training.model(x) - targets(task, x)).abs().split(shares)
            return l0 * gaps[0].mean() + l1 * gaps[1].mean()

        training.update(loss, x)

    with BatchNormStatistics(task.teacher) as statistics:
        online = Online(task, synthesis_loss(statistics, bn, extra), lr_g=lr_g, nz=nz, ngf=ngf)
        average = copy.deepcopy(online.generator).requires_grad_(False)
        while training.running:
            for _ in training.up_to(student_steps):
                with torch.no_grad(), task.compute.autocast():
                    older = average.sample(shares[1], task.generator).float()
                learn(torch.cat([online.images(shares[0]), older]))
            if training.running:
                online.learn(training.model)
                follow(average, online.generator, alpha)
    return training.model


@torch.no_grad()
def follow(average: nn.Module, generator: nn.Module, alpha: float) -> None:
    """average <- alpha * average + (1 - alpha) * generator, in every parameter."""
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - alpha)
