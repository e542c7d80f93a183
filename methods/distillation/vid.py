"""Variational Information Distillation for Knowledge Transfer.

Sungsoo Ahn, Shell Xu Hu, Andreas Damianou, Neil D. Lawrence and Zhenwen Dai, CVPR 2019, arXiv:1904.05835.

A lower bound of the information that the student's stages hold about the teacher's: a Gaussian whose mean is regressed
from the student's stage, with one learnt variance a channel. Regressor, start and weight are the authors' and
RepDistiller's (mdistiller forgets to train the variances). No weight decay on the variances, as on no vector here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench import method
from bench.models.stages import matched
from bench.scenarios.distill import DistillTask
from bench.types import Rate, Weight
from methods.distillation.training import Batch, distil_features, first_look, same_size

LEAST_VARIANCE = 1e-5


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1904.05835", year=2019)
def vid(task: DistillTask, *, weight: Weight = 1.0, variance: Rate = 5.0) -> nn.Module:
    """Variational information: the student's stages tell the teacher's, by Gaussians of learnt variance.

    Args:
        weight: of the sum over stages.
        variance: of every channel at the start.
    """
    pairs = matched(task.student, task.teacher)
    student, teacher = first_look(task, pairs)
    guesses = [
        Gaussian(mine.shape[1], theirs.shape[1], variance)
        for mine, theirs in zip(student.maps, teacher.maps, strict=True)
    ]

    def loss(batch: Batch) -> Tensor:
        stages = zip(guesses, batch.student.maps, batch.teacher.maps, strict=True)
        return batch.hard + weight * torch.stack([guess(mine, theirs) for guess, mine, theirs in stages]).sum()

    return distil_features(task, loss, pairs=pairs, connectors=guesses)


class Gaussian(nn.Module):
    """A guess at the teacher's stage from the student's: its mean from three 1x1 convolutions, a variance a channel."""

    def __init__(self, inputs: int, outputs: int, variance: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
        )
        start = math.log(math.expm1(max(variance - LEAST_VARIANCE, LEAST_VARIANCE)))
        self.scale = nn.Parameter(torch.full((outputs,), start))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Negative log-likelihood of the teacher's maps [B, T, H, W] given the student's [B, S, H, W], less a constant.

        A mean over all entries; the larger map is averaged down to the smaller first. It may be negative.
        """
        student, teacher = same_size(student, teacher)
        variance = (nn.functional.softplus(self.scale) + LEAST_VARIANCE)[:, None, None]
        return ((self.mean(student) - teacher).square() / variance + variance.log()).mean() / 2
