"""Class Attention Transfer Based Knowledge Distillation (CAT-KD).

Ziyao Guo, Haonan Yan, Hui Li and Xiaodong Lin, CVPR 2023, arXiv:2304.12777.

A network that averages its last map and reads the mean by a linear head has a map for each class: the head's row,
applied to each pixel. The student takes over these class activation maps, averaged down to 2x2 pixels. Numbers are
those of the authors' code (GzyAftermath/CAT-KD); the weight is that for ResNet-56 into ResNet-20, the pair whose widths
are nearest to ours (others have 0.7 to 15, so mind the pair). `cat` of the paper's study is `hard_weight = 0`,
`normalise = true` and `weight = 50`.

The authors move the head before the average and take its bias away, in the student as well. Here both networks stay as
they are: the maps are made from the head's weights alone, and the bias, which has no place on a map, goes on learning
from the labels. Maps are averaged down before the head is applied, which gives the same numbers. The study's binary
maps and maps of some classes only are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.stages import matched
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.training import Batch, Seen, distil_features, first_look

SIDE = 2
"""Pixels on a side of the maps that are compared. With one, it would be logits that are compared."""


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:2304.12777", year=2023)
def cat_kd(task: DistillTask, *, weight: Weight = 0.7, hard_weight: Weight = 1.0, normalise: bool = False) -> nn.Module:
    """Class attention: the student's class activation maps are the teacher's, at 2x2 pixels.

    Args:
        weight: of the maps' mean squared difference.
        hard_weight: of the labels' cross-entropy.
        normalise: each map has length 1 before it is compared.
    """
    pair = matched(task.student, task.teacher)[-1:]
    for who, seen in zip(("student", "teacher"), first_look(task, pair), strict=True):
        refuse_other_heads(who, seen)
    student, teacher = task.student.get_submodule("head"), task.teacher.get_submodule("head")

    def loss(batch: Batch) -> Tensor:
        mine, theirs = class_maps(batch.student.maps[-1], student), class_maps(batch.teacher.maps[-1], teacher)
        return hard_weight * batch.hard + weight * map_loss(mine, theirs, normalise=normalise)

    return distil_features(task, loss, pairs=pair)


def refuse_other_heads(who: str, seen: Seen) -> None:
    """Raise Skip where what the head reads is not the mean over several pixels of the last stage."""
    maps = seen.maps[-1]
    if maps.shape[2] * maps.shape[3] == 1:
        raise Skip(f"needs class activation maps, and the last stage of the {who} has one pixel")
    if not torch.allclose(maps.mean((2, 3)), seen.embedding, rtol=1e-3, atol=1e-5):
        raise Skip(f"needs class activation maps, and the head of the {who} does not read the mean of its last map")


def class_maps(maps: Tensor, head: nn.Module) -> Tensor:
    """Class activation maps [B, C, 2, 2] of the last stage's maps [B, D, H, W]."""
    small = nn.functional.adaptive_avg_pool2d(maps, SIDE)
    weight = head.get_parameter("weight")
    return nn.functional.conv2d(small, weight[:, :, None, None])


def map_loss(student: Tensor, teacher: Tensor, *, normalise: bool) -> Tensor:
    """Mean squared difference of maps [B, C, H, W]; with `normalise`, each map of a class has length 1 first."""
    if normalise:
        student, teacher = (nn.functional.normalize(maps, dim=(2, 3)) for maps in (student, teacher))  # type: ignore[arg-type]
    return nn.functional.mse_loss(student, teacher)
