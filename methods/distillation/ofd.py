"""A Comprehensive Overhaul of Feature Distillation.

Byeongho Heo, Jeesoo Kim, Sangdoo Yun, Hyojin Park, Nojun Kwak and Jin Young Choi, ICCV 2019, arXiv:1904.01866.

The student's stages, through a convolution each, take over the teacher's before the ReLU. Where the teacher is
negative, only that matters: no less than a margin is asked for, and nothing where the student is below the teacher.
Weights, connectors and margins are those of the authors' code and mdistiller; both leave the teacher's BatchNorm in
training mode. Here it uses its running statistics, like every teacher of this family. The loss is a sum over pixels, so
the weight is one for images of 32x32 pixels; images of half the side need four times as much for the same pull.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.stages import Stage, matched
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.training import Batch, distil_features, first_look, same_size


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1904.01866", year=2019)
def ofd(task: DistillTask, *, weight: Weight = 0.001) -> nn.Module:
    """Overhaul: stages before their ReLU, with a margin below which the teacher's negative values do not count.

    Args:
        weight: of the sum over stages, of which the last counts once and each earlier one half of the next.
    """
    pairs = matched(task.student, task.teacher)
    margins = [margin(norm_of(task.teacher, stage)) for _, stage in pairs]
    student, teacher = first_look(task, pairs)
    connectors = [
        connector(mine.shape[1], theirs.shape[1]) for mine, theirs in zip(student.before, teacher.before, strict=True)
    ]

    def loss(batch: Batch) -> Tensor:
        stages = zip(connectors, margins, batch.student.before, batch.teacher.before, strict=True)
        terms = [partial_distance(*same_size(connect(mine), theirs), least) for connect, least, mine, theirs in stages]
        halves = (term / 2**later for later, term in enumerate(reversed(terms)))
        return batch.hard + weight * torch.stack(list(halves)).sum()

    return distil_features(task, loss, pairs=pairs, connectors=connectors)


def norm_of(teacher: nn.Module, stage: Stage) -> nn.Module:
    """The norm before a stage's last ReLU. Raises Skip where it is not a BatchNorm with weights, or there is none."""
    norm = teacher.get_submodule(stage.norm) if stage.norm else None
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or not norm.affine:
        raise Skip(f"needs a BatchNorm before the last ReLU of each stage, and the teacher's {stage.name} has none")
    return norm


def connector(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution 1x1 and BatchNorm, from the student's channels to the teacher's."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.normal_(conv.weight, std=math.sqrt(2 / outputs))
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def margin(norm: nn.Module) -> Tensor:
    """E[x | x < 0] of each channel [C, 1, 1] after a BatchNorm, whose output has its bias as mean, its weight as
    deviation; -3 deviations where hardly anything (0.001) is negative.
    """
    mean, deviation = norm.bias.detach().double(), norm.weight.detach().double().abs()  # type: ignore[operator]
    standard = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    ratio = mean / deviation.clamp(min=torch.finfo(torch.float32).tiny)
    negative = standard.cdf(-ratio)
    expected = mean - deviation * standard.log_prob(ratio).exp() / negative.clamp(min=1e-12)
    return torch.where(negative > 0.001, expected, -3 * deviation).float()[:, None, None]


def partial_distance(student: Tensor, teacher: Tensor, least: Tensor) -> Tensor:
    """Squared distance of the student to max(teacher, least), of maps [B, C, H, W]; 0 wherever that is not positive and
    the student is below it. A sum over C, H and W, and a mean over the batch.
    """
    goal = torch.maximum(teacher, least)
    counts = (goal > 0) | (student > goal)
    return ((student - goal).square() * counts).sum() / len(student)
