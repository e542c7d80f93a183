"""Losses between a student's and a teacher's outputs, as pure functions with their reduction spelt out.

Published weights of distillation terms hold for one reduction only, so nothing here takes a `reduction` argument:
each function is a mean over the batch, as its docstring says.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.schema.recipe import Recipe

Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""loss(model, x, y, index), as `bench.models.train.fit` takes it."""


def distillation_kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 * mean over the batch of KL(p_teacher || p_student), with p = softmax(logits / T).

    The factor T^2 keeps the gradient, T (p_student - p_teacher) / B, of one size as T changes (Hinton et al., 2015).

    Args:
        student_logits: [B, C].
        teacher_logits: [B, C]; gradients reach it where it requires them (a generator that fools the student).
        temperature: T > 0.

    Returns:
        A scalar in nats; 0 where the two differ by a constant in each row.
    """
    student = nn.functional.log_softmax(student_logits / temperature, dim=1)
    teacher = nn.functional.log_softmax(teacher_logits / temperature, dim=1)
    # log_target, because the gradient through teacher * log(teacher) is NaN where a probability underflows to zero.
    return temperature**2 * nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def soft_and_hard_labels(teacher: Callable[[Tensor], Tensor], recipe: Recipe, alpha: float, temperature: float) -> Loss:
    """The loss alpha * cross-entropy + (1 - alpha) * `distillation_kl`, for `bench.models.train.fit`.

    Cross-entropy smooths labels as the recipe says, so that alpha = 1 is plain training to the last bit; the teacher
    is then not asked at all.

    Args:
        teacher: gives logits [B, C] of images in [0, 1]; no gradient passes through it.
        recipe: for its label smoothing.
        alpha: share of the labels, in [0, 1].
        temperature: of the softened probabilities.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        z = model(x)
        hard = nn.functional.cross_entropy(z, y, label_smoothing=recipe.label_smoothing)
        if alpha == 1:
            return hard
        with torch.no_grad():
            soft = teacher(x)
        return alpha * hard + (1 - alpha) * distillation_kl(z, soft, temperature)

    return loss


def others(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits [B, C] of all classes but the labelled one, [B, C - 1], in their order."""
    kept = torch.ones_like(logits, dtype=torch.bool).scatter_(1, labels[:, None], value=False)
    return logits[kept].view(len(logits), -1)
