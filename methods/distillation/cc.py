"""Correlation Congruence for Knowledge Distillation.

Baoyun Peng, Xiao Jin, Jiaheng Liu, Shunfeng Zhou, Yichao Wu, Yu Liu, Dongsheng Li and Zhaoning Zhang, ICCV 2019,
arXiv:1904.01802.

The student takes over how images of a batch correlate in the teacher's embedding, measured by a Gaussian kernel in its
Taylor expansion. This is the paper's kernel form; what RepDistiller runs under the same name is another loss (products
of neighbours' absolute differences).

Differs from the paper in three points. Embeddings are brought to length 1, on which the expansion is that of the
Gaussian kernel. They pass no linear layer: a kernel needs no equal widths, and a layer that is trained on the teacher's
side too can make the loss vanish without the student. And the term on soft labels is left out, as for every loss on
features here. The paper's order of expansion and gamma are kept; the authors published no code, and the weight is ours:
it makes the term about as large as the cross-entropy at the start.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Count, Rate, Weight
from methods.distillation.training import Batch, distil_features


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:1904.01802", year=2019)
def cc(task: DistillTask, *, weight: Weight = 100.0, gamma: Rate = 0.4, order: Count = 2) -> nn.Module:
    """Correlation congruence: images correlate in the student's embedding as they do in the teacher's.

    Args:
        weight: of the squared distance between the two tables of correlations.
        gamma: of the Gaussian kernel exp(-gamma d^2).
        order: of its Taylor expansion.
    """

    def loss(batch: Batch) -> Tensor:
        mine, theirs = (
            correlations(nn.functional.normalize(seen.embedding), gamma, order)
            for seen in (batch.student, batch.teacher)
        )
        return batch.hard + weight * nn.functional.mse_loss(mine, theirs)

    return distil_features(task, loss)


def correlations(embedding: Tensor, gamma: float, order: int) -> Tensor:
    """exp(-2 gamma) * sum over p <= order of (2 gamma)^p / p! <e_i, e_j>^p, [B, B], of embeddings [B, D]."""
    products = embedding @ embedding.T
    terms = [(2 * gamma) ** p / math.factorial(p) * products**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(terms).sum(0)
