"""Learning Deep Representations with Probabilistic Knowledge Transfer.

Nikolaos Passalis and Anastasios Tefas, ECCV 2018, arXiv:1803.10837.

The cosines among the embeddings of a batch, as conditional probabilities of neighbours: the student's follow the
teacher's. The weight is RepDistiller's, and makes up for a mean over B^2 entries.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.training import Batch, distil_features

EPSILON = 1e-7


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1803.10837", year=2018)
def pkt(task: DistillTask, *, weight: Weight = 30000.0) -> nn.Module:
    """Probabilistic transfer: an image's neighbours in the student's embedding are its neighbours in the teacher's.

    Args:
        weight: of the divergence between the two tables of probabilities.
    """

    def loss(batch: Batch) -> Tensor:
        return batch.hard + weight * neighbour_loss(batch.student.embedding, batch.teacher.embedding)

    return distil_features(task, loss)


def neighbours(embedding: Tensor) -> Tensor:
    """Probabilities [B, B] of each image's neighbours, itself included: (cosine + 1) / 2 of embeddings [B, D], over
    the sum of its row.
    """
    unit = nn.functional.normalize(embedding, eps=EPSILON)
    cosines = (unit @ unit.T + 1) / 2
    return cosines / cosines.sum(1, keepdim=True)


def neighbour_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """P_t log(P_t / P_s), averaged over B^2 entries, of two embeddings [B, D]."""
    mine, theirs = neighbours(student), neighbours(teacher)
    return (theirs * ((theirs + EPSILON) / (mine + EPSILON)).log()).mean()
