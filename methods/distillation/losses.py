"""Losses between a student's and a teacher's outputs, as pure functions with their reduction spelt out.

Published weights of distillation terms hold for one reduction only, so nothing here takes a `reduction` argument:
each function is a mean over the batch, as its docstring says.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


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
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    # log_target, because the gradient through teacher * log(teacher) is NaN where a probability underflows to zero.
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
