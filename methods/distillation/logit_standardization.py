"""Logit Standardization in Knowledge Distillation.

Shangquan Sun, Wenqi Ren, Jingzhi Li, Rui Wang and Xiaochun Cao, CVPR 2024, arXiv:2403.01427.

Before they are softened, the logits of either network are centred and divided by their deviation over the classes. The
student then takes over how the classes rank and stand apart, and is free in the scale of its logits. It is a plug-in:
`kd-std` puts it before `kd`, `dkd-std` before `dkd`. Labels are learnt from the logits as they are.

Weights and temperatures are those that the authors' code runs: for KD 9 (and 0.1 on the labels) at T = 2; for DKD
alpha = 9 and beta = 9 alpha at DKD's own T = 4.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Fraction, Rate, Weight
from methods.distillation.dkd import decoupled
from methods.distillation.losses import distillation_kl
from methods.distillation.training import Batch, distil_outputs

EPSILON = 1e-7


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:2403.01427", year=2024)
def kd_std(
    task: DistillTask, *, hard_weight: Weight = 0.1, soft_weight: Weight = 9.0, temperature: Rate = 2.0
) -> nn.Module:
    """Knowledge distillation of standardised logits.

    Args:
        hard_weight: of the labels' cross-entropy.
        soft_weight: of the divergence.
        temperature: of the standardised logits.
    """

    def loss(batch: Batch) -> Tensor:
        mine, theirs = standardised(batch.student.logits), standardised(batch.teacher.logits)
        return hard_weight * batch.hard + soft_weight * distillation_kl(mine, theirs, temperature)

    return distil_outputs(task, loss)


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:2403.01427", year=2024)
def dkd_std(
    task: DistillTask, *, alpha: Weight = 9.0, beta: Weight = 81.0, temperature: Rate = 4.0, warmup: Fraction = 1 / 12
) -> nn.Module:
    """Decoupled distillation of standardised logits.

    Args:
        alpha: weight of the target's probability.
        beta: weight of the other classes.
        temperature: of the standardised logits.
        warmup: share of training in which both weights rise from zero.
    """

    def loss(batch: Batch) -> Tensor:
        mine, theirs = standardised(batch.student.logits), standardised(batch.teacher.logits)
        target, rest = decoupled(mine, theirs, batch.labels, temperature)
        return batch.hard + batch.ramp(warmup) * (alpha * target + beta * rest)

    return distil_outputs(task, loss)


def standardised(logits: Tensor) -> Tensor:
    """Logits [B, C], in each row of mean 0 and (unbiased) deviation 1."""
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True) + EPSILON)
