"""NKD: the first part of From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with Normalized
Loss and Customized Soft Labels.

Zhendong Yang, Ailing Zeng, Zhe Li, Tianke Zhang, Chun Yuan and Yu Li, ICCV 2023, arXiv:2303.13005.

The teacher's probability of the target weighs the target's cross-entropy; the other classes, normalised among
themselves, have a soft cross-entropy of their own. Weight and temperature are those of the authors' configuration for
CIFAR-100 (3.5 and 3; on ImageNet 1.5 and 1).
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.scenarios.distill import DistillTask
from bench.types import Rate, Weight
from methods.distillation.losses import others
from methods.distillation.training import Batch, distil_outputs


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:2303.13005", year=2023)
def nkd(task: DistillTask, *, gamma: Weight = 3.5, temperature: Rate = 3.0) -> nn.Module:
    """Normalised distillation: a weighted target, and soft labels among the other classes.

    Args:
        gamma: weight of the other classes.
        temperature: of the other classes.
    """

    def loss(batch: Batch) -> Tensor:
        target, rest = normalised(batch.student.logits, batch.teacher.logits, batch.labels, temperature)
        return batch.hard + target + gamma * rest

    return distil_outputs(task, loss)


def normalised(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Two cross-entropies from teacher to student, each a mean over the batch, of logits [B, C] and targets [B].

    The first is of the target, -p_t(y) log p_s(y) at temperature 1; the second, times T^2, among the other classes.
    """
    target = labels[:, None]
    first = -(teacher.softmax(1).gather(1, target) * student.log_softmax(1).gather(1, target)).mean()
    mine = (others(student, labels) / temperature).log_softmax(1)
    theirs = (others(teacher, labels) / temperature).softmax(1)
    return first, -(temperature**2) * (theirs * mine).sum(1).mean()
