"""Relational Knowledge Distillation.

Wonpyo Park, Dongju Kim, Yan Lu and Minsu Cho, CVPR 2019, arXiv:1904.05068.

The student's embedding takes over the teacher's relations among the images of a batch, not its coordinates: pairwise
distances, in units of their mean, and the angles of all triplets. The embeddings are the inputs of the two models'
heads, whatever their widths. Weights are those of RepDistiller's CIFAR runs (25, 50, and cross-entropy with weight 1).

Differs from the reference code (lenscloth/RKD) in two points that change no value on distinct embeddings: images whose
embeddings coincide pass no gradient to each other, where the code's is infinite or a rounding error; and cosines
follow from the distances by the law of cosines, which spares a factor of the embedding's width in time and memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench import method
from bench.scenarios.distill import DistillTask
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Weight
from methods.distillation.training import Batch, distil_features

COSINES_AT_ONCE = 2**22
"""Entries of the [B, B, B] table of cosines that are held at a time."""


@method(
    family="distillation",
    scenario=("distill", "squeeze"),
    access={"weights", "labels"},
    paper="arXiv:1904.05068",
    year=2019,
)
def rkd(task: DistillTask | SqueezeTask, *, distance_weight: Weight = 25.0, angle_weight: Weight = 50.0) -> nn.Module:
    """Relational distillation: cross-entropy, and the teacher's distances and angles between images.

    Args:
        distance_weight: of the loss over pairs; the paper's RKD-A has none.
        angle_weight: of the loss over triplets; the paper's RKD-D has none.
    """

    def loss(batch: Batch) -> Tensor:
        student, teacher = distances(batch.student.embedding), distances(batch.teacher.embedding)
        value = batch.hard
        if distance_weight:
            value = value + distance_weight * distance_loss(student, teacher)
        if angle_weight:
            value = value + angle_weight * angle_loss(student, teacher)
        return value

    return distil_features(task, loss)


def distances(z: Tensor) -> Tensor:
    """Euclidean distances [B, B] of embeddings [B, D], exactly 0 (and with gradient 0) between equal ones."""
    # Not by matrix products: their cancellation gives near neighbours a distance of rounding errors.
    return torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Huber loss between two tables of distances [B, B], each in units of its mean, averaged over B^2 pairs."""
    return nn.functional.smooth_l1_loss(_in_units_of_mean(student), _in_units_of_mean(teacher))


def angle_loss(student: Tensor, teacher: Tensor, at_once: int = COSINES_AT_ONCE) -> Tensor:
    """Huber loss between the cosines that two tables of distances [B, B] imply, averaged over B^3 triplets.

    Args:
        student: gradients flow into it.
        teacher: none do.
        at_once: cosines that are held at a time; a batch with more is worked through in slices, which are computed
            anew in the backward pass.
    """
    size = len(student)
    step = max(1, at_once // size**2)
    if step >= size:
        return _angle_sum(student, teacher, 0, size) / size**3
    parts = [
        checkpoint(_angle_sum, student, teacher, start, start + step, use_reentrant=False)
        for start in range(0, size, step)
    ]
    return torch.stack(parts).sum() / size**3


def cosines(d: Tensor, start: int, stop: int) -> Tensor:
    """Cosines [stop - start, B, B] of the angle b-a-c at each vertex a in [start, stop), from distances [B, B].

    0 where b or c coincides with a: there is no angle.
    """
    side = d[start:stop]
    apart = side > 0
    inverse = torch.where(apart, side, 1).reciprocal() * apart
    square = side.square()
    opposite = d.square()
    return (square[:, :, None] + square[:, None, :] - opposite) * (inverse[:, :, None] * inverse[:, None, :] / 2)


def _angle_sum(student: Tensor, teacher: Tensor, start: int, stop: int) -> Tensor:
    with torch.no_grad():
        goal = cosines(teacher, start, stop)
    return nn.functional.smooth_l1_loss(cosines(student, start, stop), goal, reduction="sum")


def _in_units_of_mean(d: Tensor) -> Tensor:
    """Over the mean of the positive entries; all zeros stay so."""
    positive = d > 0
    mean = d.sum() / positive.sum().clamp(min=1)
    return d / torch.where(mean > 0, mean, 1)
