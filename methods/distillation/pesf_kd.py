"""Parameter-Efficient and Student-Friendly Knowledge Distillation (PESF-KD), and the online distillation it spares.

Jun Rao, Xv Meng, Liang Ding, Shuhan Qi, Xuebo Liu, Min Zhang and Dacheng Tao, IEEE TMM 2023, arXiv:2205.15308.

A teacher whose probabilities are much sharper than the student's is hard to follow. An adapter on its logits (down to a
few units, ReLU, up, added to the logits) learns to be right and to be near the student, while the student learns from
what the adapter gives. `online-kd` does so with the whole teacher in the adapter's place, which is what the paper calls
online distillation and compares with.

The authors' code was not to be had. Temperature and weights of the student's terms are those of their published command
(RepDistiller: 1 on labels, 1 on the divergence, T = 4). Theirs are not known of the adapter: its width, its start (at
zero, so that the first step is `kd`'s with these weights) and weight 1 on its divergence are this project's, and it is
trained by the student's optimizer. The pretrained teacher of `online-kd` is trained by plain SGD at a small rate of its
own, as the student's would undo what it knows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.types import Count, Rate, Weight
from methods.distillation.losses import distillation_kl
from methods.distillation.training import Batch, distil_outputs


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:2205.15308", year=2023)
def pesf_kd(
    task: DistillTask,
    *,
    soft_weight: Weight = 1.0,
    adapter_weight: Weight = 1.0,
    width: Count = 16,
    temperature: Rate = 4.0,
) -> nn.Module:
    """Student-friendly distillation: an adapter on the teacher's logits is trained along.

    Args:
        soft_weight: of the student's divergence from the adapter; its labels weigh 1.
        adapter_weight: of the adapter's divergence from the student; its labels weigh 1.
        width: of the adapter.
        temperature: of the softened probabilities.
    """
    adapter = Adapter(task.num_classes, width)

    def loss(batch: Batch) -> Tensor:
        adapted = adapter(batch.teacher.logits)
        mine = batch.hard + soft_weight * distillation_kl(batch.student.logits, adapted.detach(), temperature)
        theirs = teaching_loss(adapted, batch.student.logits.detach(), batch.labels, adapter_weight, temperature)
        return mine + theirs

    return distil_outputs(task, loss, connectors=[adapter])


@method(
    family="distillation",
    scenario="distill",
    access={"weights", "labels"},
    paper="arXiv:2205.15308",
    year=2023,
    in_place=True,
)
def online_kd(
    task: DistillTask,
    *,
    soft_weight: Weight = 1.0,
    teacher_weight: Weight = 1.0,
    teacher_lr: Rate = 1e-3,
    temperature: Rate = 4.0,
) -> nn.Module:
    """Online distillation: the whole teacher is trained along, towards the labels and the student.

    Args:
        soft_weight: of the student's divergence from the teacher; its labels weigh 1.
        teacher_weight: of the teacher's divergence from the student; its labels weigh 1.
        teacher_lr: rate of the teacher's SGD.
        temperature: of the softened probabilities.
    """
    teacher = task.compute.place(task.teacher.requires_grad_(True)).train()
    optimizer = torch.optim.SGD(teacher.parameters(), teacher_lr)
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        goal, z = teacher(x), model(x)
        optimizer.zero_grad()
        teaching_loss(goal, z.detach(), y, teacher_weight, temperature).backward()
        optimizer.step()
        hard = nn.functional.cross_entropy(z, y, label_smoothing=smoothing)
        return hard + soft_weight * distillation_kl(z, goal.detach(), temperature)

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


def teaching_loss(teacher: Tensor, student: Tensor, labels: Tensor, weight: float, temperature: float) -> Tensor:
    """Cross-entropy of what teaches, logits [B, C], with labels [B], and `weight` times its divergence from the student
    [B, C] (T^2 KL(p_student || p_teacher)).
    """
    return nn.functional.cross_entropy(teacher, labels) + weight * distillation_kl(teacher, student, temperature)


class Adapter(nn.Module):
    """Logits plus a bottleneck of them; the logits themselves at the start."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(classes, width)
        self.up = nn.Linear(width, classes)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Logits [B, C] -> logits [B, C]."""
        return z + self.up(self.down(z).relu())
