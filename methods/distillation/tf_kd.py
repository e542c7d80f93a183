"""Revisiting Knowledge Distillation via Label Smoothing Regularization (its Tf-KD_reg: a teacher made by hand).

Li Yuan, Francis E. H. Tay, Guilin Li, Tao Wang and Jiashi Feng, CVPR 2020, arXiv:1909.11723.

A control: it has no teacher. The student is distilled from a virtual one that is right with probability 0.99 and knows
nothing else; what a method gains beyond this is not mere smoothing.

Weights are those of the authors' code for CIFAR-100. As there, the virtual probabilities (and not their logarithms) are
divided by T and passed through a softmax, and the student's logits are not softened. The code's mean over batch and
classes, times 100, is the sum over its 100 classes, which stands here.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.types import Fraction, Rate

RIGHT = 0.99
"""The virtual teacher's probability of the label."""


@method(family="distillation", scenario="distill", access={"labels"}, paper="arXiv:1909.11723", year=2020)
def tf_kd(task: DistillTask, *, alpha: Fraction = 0.1, temperature: Rate = 20.0) -> nn.Module:
    """Teacher-free distillation, from a virtual teacher that is right and knows nothing else.

    Args:
        alpha: weight of the virtual teacher; the labels weigh 1 - alpha.
        temperature: of the virtual teacher.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        z = model(x)
        hard = nn.functional.cross_entropy(z, y, label_smoothing=task.recipe.label_smoothing)
        soft = nn.functional.kl_div(
            z.log_softmax(1), virtual_teacher(y, z.shape[1], temperature).to(z), reduction="batchmean"
        )
        return (1 - alpha) * hard + alpha * soft

    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
    return task.student


def virtual_teacher(labels: Tensor, classes: int, temperature: float) -> Tensor:
    """Softened probabilities [B, C] of the virtual teacher for labels int64 [B]."""
    right = nn.functional.one_hot(labels, classes).bool()
    return right.double().mul(RIGHT).masked_fill(~right, (1 - RIGHT) / (classes - 1)).div(temperature).softmax(1)
