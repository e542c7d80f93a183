"""Multi-Level Logit Distillation.

Ying Jin, Jiaqi Wang and Dahua Lin, CVPR 2023.

Logits are matched on three levels: of each image, at several temperatures; of the classes, by the products of their
probabilities over a batch; of the images, by the products of theirs over the classes. Each image is seen in two views,
a weak one (the recipe's) and a strong one, so that an update costs twice the passes of `kd`: compare its seconds.

Terms, weights and temperatures are those of the authors' code, as the repository of logit standardization has it. Its
masks by the teacher's confidence multiply numbers that are means already, so that they halve the weak view's terms; the
half stands here. It takes two of the strong view's five temperatures from the weak view by a slip; here all are of the
strong view. The strong view is made from the weak one, from tensors (see `strong_view`), where the code draws two crops
and distorts one by RandAugment. The released runs last 480 epochs, and those here as long as any other row's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.types import Weight
from methods.distillation.losses import distillation_kl
from methods.distillation.strong import strong_view

TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)


@method(
    family="distillation",
    scenario="distill",
    access={"outputs", "labels"},
    paper="Jin et al., CVPR 2023",
    year=2023,
)
def mlkd(task: DistillTask, *, hard_weight: Weight = 0.1, soft_weight: Weight = 0.9) -> nn.Module:
    """Multi-level logits: of each image, of the classes and of the batch, at five temperatures and on two views.

    Args:
        hard_weight: of the labels' cross-entropy, in either view.
        soft_weight: of everything that comes from the teacher.
    """
    if len(task.input_shape) != 3:
        raise Skip("needs images, which can be distorted")
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        views = x, strong_view(x)
        with torch.no_grad():
            weak_goal, strong_goal = (task.teacher_outputs(view) for view in views)
        weak, strong = (model(view) for view in views)
        hard = sum(nn.functional.cross_entropy(z, y, label_smoothing=smoothing) for z in (weak, strong))
        soft = [
            (distillation_kl(weak, weak_goal, t) + class_loss(weak, weak_goal, t) + batch_loss(weak, weak_goal, t)) / 2
            + distillation_kl(strong, strong_goal, t)
            + batch_loss(strong, strong_goal, t) / 2
            for t in TEMPERATURES
        ]
        return hard_weight * hard + soft_weight * torch.stack(soft).sum()

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


def class_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """|P_t' P_t - P_s' P_s|^2 / C, of probabilities P [B, C] at a temperature."""
    mine, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    return (theirs.T @ theirs - mine.T @ mine).square().sum() / student.shape[1]


def batch_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """|P_t P_t' - P_s P_s'|^2 / B, of probabilities P [B, C] at a temperature."""
    mine, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    return (theirs @ theirs.T - mine @ mine.T).square().sum() / len(student)
