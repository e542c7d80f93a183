"""Distilling Knowledge via Knowledge Review.

Pengguang Chen, Shu Liu, Hengshuang Zhao and Jiaya Jia, CVPR 2021, arXiv:2104.09044.

A stage of the student learns from the same and all earlier stages of the teacher: from the last stage to the first,
each is fused by attention (ABF) with what came from the later ones, and compared with the teacher's at several sizes
(HCL). Fusion, sizes, weight and warm-up are mdistiller's, by the authors' group. Its warm-up of 20 in 240 epochs is the
same share of training here, and rises by the step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.models.stages import as_map, matched
from bench.scenarios.distill import DistillTask
from bench.types import Count, Fraction, Weight
from methods.distillation.training import Batch, Seen, distil_features, first_look

SIZES = (4, 2, 1)
"""Sides to which maps are averaged down for comparison, where they are larger."""


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:2104.09044", year=2021)
def reviewkd(task: DistillTask, *, weight: Weight = 1.0, warmup: Fraction = 1 / 12, widest: Count = 512) -> nn.Module:
    """Knowledge review: early stages of the teacher teach late stages of the student.

    Args:
        weight: of the sum over stages.
        warmup: share of training in which the weight rises from zero.
        widest: most channels of what is handed on from stage to stage.
    """
    pairs = matched(task.student, task.teacher)
    student, teacher = first_look(task, pairs)
    mine, theirs = levels(student), goals(teacher)
    between = min(widest, mine[-1].shape[1])
    fusions = [Fusion(a.shape[1], between, b.shape[1], last=a is mine[-1]) for a, b in zip(mine, theirs, strict=True)]

    def loss(batch: Batch) -> Tensor:
        wanted = goals(batch.teacher)
        terms, handed = [], None
        for fuse, here, goal in reversed(list(zip(fusions, levels(batch.student), wanted, strict=True))):
            guess, handed = fuse(here, handed, goal.shape[2:])
            terms.append(hierarchical_distance(guess, goal))
        return batch.hard + batch.ramp(warmup) * weight * torch.stack(terms).sum()

    return distil_features(task, loss, pairs=pairs, connectors=fusions)


def levels(student: Seen) -> list[Tensor]:
    """The student's stages, and its embedding as a map of one pixel."""
    return [*student.maps, as_map(student.embedding)]


def goals(teacher: Seen) -> list[Tensor]:
    """The teacher's stages before their ReLU, and its embedding as a map of one pixel."""
    return [*teacher.before, as_map(teacher.embedding)]


class Fusion(nn.Module):
    """Attention-based fusion (ABF) of a stage with what was handed on from the later ones."""

    def __init__(self, inputs: int, between: int, outputs: int, *, last: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(inputs, between, 1, bias=False), nn.BatchNorm2d(between))
        self.leave = nn.Sequential(nn.Conv2d(between, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.attention = None if last else nn.Sequential(nn.Conv2d(2 * between, 2, 1), nn.Sigmoid())
        for layer in (self.enter[0], self.leave[0]):
            nn.init.kaiming_uniform_(layer.weight, a=1)  # type: ignore[arg-type]

    def forward(self, x: Tensor, handed: Tensor | None, size: torch.Size) -> tuple[Tensor, Tensor]:
        """A stage [B, inputs, H, W] and [B, between, h, w] -> a guess [B, outputs, *size], and what is handed on."""
        x = self.enter(x)
        if self.attention is not None and handed is not None:
            handed = nn.functional.interpolate(handed, x.shape[2:])
            weights = self.attention(torch.cat([x, handed], dim=1))
            x = x * weights[:, :1] + handed * weights[:, 1:]
        if x.shape[2:] != size:
            x = nn.functional.interpolate(x, size)
        return self.leave(x), x


def hierarchical_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference (HCL) of two maps [B, C, H, W], and of both averaged down to sides 4, 2 and 1: each of
    these weighs half of the one before, over the sum of weights.
    """
    value, weight, weights = nn.functional.mse_loss(student, teacher), 1.0, 1.0
    for side in SIZES:
        if side < student.shape[2]:
            weight /= 2
            mine, theirs = (nn.functional.adaptive_avg_pool2d(m, side) for m in (student, teacher))
            value, weights = value + weight * nn.functional.mse_loss(mine, theirs), weights + weight
    return value / weights
