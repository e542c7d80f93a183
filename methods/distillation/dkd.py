"""Decoupled Knowledge Distillation.

Borui Zhao, Quan Cui, Renjie Song, Yiyu Qiu and Jiajun Liang, CVPR 2022, arXiv:2203.08679.

The divergence of soft labels is that of the target's probability alone, plus that among the other classes times the
teacher's probability of these. A teacher that is sure silences the second term; here each has a weight of its own.
Weights, temperature and warm-up are those of the authors' code (mdistiller) for ResNet-32x4 and ResNet-8x4. The warm-up
of 20 in 240 epochs is the same share of training here, and rises by the step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Fraction, Rate, Weight
from methods.distillation.losses import distillation_kl, others
from methods.distillation.training import Batch, distil_outputs


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:2203.08679", year=2022)
def dkd(
    task: DistillTask, *, alpha: Weight = 1.0, beta: Weight = 8.0, temperature: Rate = 4.0, warmup: Fraction = 1 / 12
) -> nn.Module:
    """Decoupled distillation: the target's probability and the other classes' ratios have weights of their own.

    Args:
        alpha: of the target's probability.
        beta: of the other classes.
        temperature: of both.
        warmup: share of training in which both weights rise from zero.
    """

    def loss(batch: Batch) -> Tensor:
        target, rest = decoupled(batch.student.logits, batch.teacher.logits, batch.labels, temperature)
        return batch.hard + batch.ramp(warmup) * (alpha * target + beta * rest)

    return distil_outputs(task, loss)


def decoupled(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """T^2 times two divergences, each a mean over the batch: of the target against all others, and among the others.

    Args:
        student: logits [B, C].
        teacher: logits [B, C].
        labels: the targets, int64 [B].
        temperature: T.

    Returns:
        Two scalars; the first plus, within the mean, 1 - p_teacher(target) times the second is `distillation_kl`.
    """
    mine, theirs = (target_or_not(z, labels, temperature) for z in (student, teacher))
    target = temperature**2 * distillation_kl(mine, theirs, 1.0)
    return target, distillation_kl(others(student, labels), others(teacher, labels), temperature)


def target_or_not(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Logits [B, 2] of "the target" and "any other class" at temperature T."""
    target = logits.gather(1, labels[:, None]) / temperature
    rest = (others(logits, labels) / temperature).logsumexp(1, keepdim=True)
    return torch.cat([target, rest], dim=1)
