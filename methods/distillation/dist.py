"""Knowledge Distillation from A Stronger Teacher.

Tao Huang, Shan You, Fei Wang, Chen Qian and Chang Xu, NeurIPS 2022, arXiv:2205.10536.

A teacher that is much better than its student is imitated in relations only: the correlation over classes within each
image, and over images within each class. Weights and temperature are those of the authors' runs on CIFAR-100.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Rate, Weight
from methods.distillation.training import Batch, distil_outputs

EPSILON = 1e-8


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:2205.10536", year=2022)
def dist(task: DistillTask, *, inter: Weight = 2.0, intra: Weight = 2.0, temperature: Rate = 4.0) -> nn.Module:
    """DIST: probabilities correlate with the teacher's, over the classes of an image and over the images of a class.

    Args:
        inter: weight of the correlation over classes.
        intra: weight of the correlation over images.
        temperature: of the probabilities.
    """

    def loss(batch: Batch) -> Tensor:
        rows, columns = relations(batch.student.logits, batch.teacher.logits, temperature)
        return batch.hard + inter * rows + intra * columns

    return distil_outputs(task, loss)


def relations(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """T^2 times 1 - Pearson's correlation of probabilities [B, C]: mean over images, and mean over classes."""
    mine, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    rows, columns = correlation(mine, theirs).mean(), correlation(mine.T, theirs.T).mean()
    return temperature**2 * (1 - rows), temperature**2 * (1 - columns)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation of each row of two tables [N, M]; 0 for a row that is constant."""
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    return nn.functional.cosine_similarity(a, b, dim=1, eps=EPSILON)
