"""Paying More Attention to Attention: Improving the Performance of CNNs via Attention Transfer.

Sergey Zagoruyko and Nikos Komodakis, ICLR 2017, arXiv:1612.03928.

An attention map says where in the image a stage is active: the mean square over its channels, of length 1. The student
takes over the teacher's maps, stage by stage. Formula and weight are those of the authors' code and of RepDistiller:
the squared difference is averaged over all entries, where the paper takes the norm of the difference. A map of length 1
has smaller entries the more it has, so the weight is one for images of 32x32 pixels. Images of half the side need a
quarter of it for the same pull (on digits of 8x8 pixels, 1000 drowns the labels).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.stages import matched
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.training import Batch, distil_features, first_look, same_size


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1612.03928", year=2017)
def at(task: DistillTask, *, weight: Weight = 1000.0) -> nn.Module:
    """Attention transfer: the student's stages are active where the teacher's are.

    Args:
        weight: of the sum over stages.
    """
    pairs = matched(task.student, task.teacher)
    if all(one.shape[2:].numel() == 1 for one in first_look(task, pairs)[0].maps):
        raise Skip("needs stages that are maps, and those of the student are vectors")

    def loss(batch: Batch) -> Tensor:
        stages = zip(batch.student.maps, batch.teacher.maps, strict=True)
        return batch.hard + weight * torch.stack([attention_loss(mine, theirs) for mine, theirs in stages]).sum()

    return distil_features(task, loss, pairs=pairs)


def attention(maps: Tensor) -> Tensor:
    """Mean square over channels of maps [B, C, H, W], of length 1 for each image: [B, H * W]."""
    return nn.functional.normalize(maps.square().mean(1).flatten(1))


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the attention of two stages [B, C, H, W], the larger one averaged down first."""
    student, teacher = same_size(student, teacher)
    return (attention(student) - attention(teacher)).square().mean()
