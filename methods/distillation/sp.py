"""Similarity-Preserving Knowledge Distillation.

Frederick Tung and Greg Mori, ICCV 2019, arXiv:1907.09682.

Which images of a batch look alike to the student's last stage should be those that look alike to the teacher's. Both
tables are B x B, so unequal widths need no bridge. The weight is RepDistiller's (its loss was checked by the author).
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.models.stages import matched
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.training import Batch, distil_features


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1907.09682", year=2019)
def sp(task: DistillTask, *, weight: Weight = 3000.0) -> nn.Module:
    """Similarity preservation: images that are alike to the teacher's last stage are alike to the student's.

    Args:
        weight: of the squared distance between the two tables of similarities.
    """
    pairs = matched(task.student, task.teacher)[-1:]

    def loss(batch: Batch) -> Tensor:
        return batch.hard + weight * similarity_loss(batch.student.maps[0], batch.teacher.maps[0])

    return distil_features(task, loss, pairs=pairs)


def similarities(activations: Tensor) -> Tensor:
    """Inner products [B, B] of activations [B, ...], each row of length 1."""
    flat = activations.flatten(1)
    return nn.functional.normalize(flat @ flat.T)


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of two tables of similarities, averaged over B^2 entries."""
    return (similarities(student) - similarities(teacher)).square().mean()
