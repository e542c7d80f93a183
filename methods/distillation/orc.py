"""ORC: Network Group-based Knowledge Distillation using Online Role Change.

Junyong Choi, Hyeon Cho, Seokhwa Cheung and Wonjun Hwang, ICCV 2023, arXiv:2206.01186.

The board's student and its assistants are a group of students, and the pretrained teacher is their pivot. In each step
the best students on the batch become teachers for this step. Intensive teaching: the pivot is trained on what the
students get wrong, mixed with other images of the batch. Private teaching: the promoted students learn from the pivot.
Group teaching: the others learn from each teacher on its own. Then all roles are given back.

The authors' code was announced and not released, and the paper's numbers were not to be had. Here the best are those
with the least cross-entropy; of the images that are repeated, as many as a batch holds, each is drawn from a student,
by a softmax over the students' shares of errors, and then from what it got wrong; the pivot is trained by plain SGD at
a small constant rate, with the statistics of its norms as they are; labels and divergences weigh as in `kd`, and the
divergences from several teachers are averaged. With one student, and a pivot that is not trained, it is `kd`.
Ablations: `promoted = 0` has the pivot alone teach, `pivot_lr = 0` leaves out intensive teaching.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.types import Fraction, Rate, Steps, Weight
from methods.distillation.group import members
from methods.distillation.losses import distillation_kl


@method(
    family="distillation",
    scenario="distill",
    access={"weights", "assistants", "labels"},
    paper="arXiv:2206.01186",
    year=2023,
    in_place=True,
)
def orc(
    task: DistillTask,
    *,
    promoted: Steps = 1,
    pivot_lr: Weight = 1e-3,
    alpha: Fraction = 0.1,
    temperature: Rate = 4.0,
) -> nn.Module:
    """Online role change: the best student of each batch teaches the others beside the teacher, which learns as well.

    Args:
        promoted: students that become teachers in each step.
        pivot_lr: rate of the SGD that trains the teacher on what the students get wrong; with 0 it is not trained.
        alpha: weight of the labels' cross-entropy; the divergence from the teachers weighs 1 - alpha.
        temperature: of the softened probabilities.
    """
    group = members(task)
    pivot = task.compute.place(task.teacher.requires_grad_(bool(pivot_lr))).eval()
    optimizer = torch.optim.SGD(pivot.parameters(), pivot_lr) if pivot_lr else None
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        logits = [network(x) for network in group]
        if optimizer is not None:
            intensive(pivot, optimizer, x, y, repeated([z.argmax(1) != y for z in logits]))
        with torch.no_grad():
            goal = pivot(x)
        best = ranked(logits, y)[:promoted]
        return role_loss(logits, goal, y, best, alpha, temperature, smoothing)

    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        parameters=group.parameters(),
        progress=task.progress,
    )
    return task.student


@torch.no_grad()
def ranked(logits: Sequence[Tensor], labels: Tensor) -> list[int]:
    """The networks' numbers, by their cross-entropy on the batch, the best first; logits [B, C] each, labels [B]."""
    losses = torch.stack([nn.functional.cross_entropy(z, labels) for z in logits])
    return losses.argsort(stable=True).tolist()


def role_loss(
    logits: Sequence[Tensor],
    pivot: Tensor,
    labels: Tensor,
    best: Sequence[int],
    alpha: float,
    temperature: float,
    smoothing: float = 0.0,
) -> Tensor:
    """The sum of all students' losses: private teaching of those that are promoted, group teaching of the others.

    Args:
        logits: [B, C] of each student.
        pivot: [B, C], without gradient.
        labels: int64 [B].
        best: numbers of the promoted students.
        alpha: weight of the labels; the mean of the divergences from a student's teachers weighs 1 - alpha.
        temperature: of the divergences.
        smoothing: of the labels.
    """
    terms = []
    for i, z in enumerate(logits):
        teachers = [pivot] if i in best else [pivot, *(logits[j].detach() for j in best)]
        soft = torch.stack([distillation_kl(z, teacher, temperature) for teacher in teachers]).mean()
        hard = nn.functional.cross_entropy(z, labels, label_smoothing=smoothing)
        terms.append(alpha * hard + (1 - alpha) * soft)
    return torch.stack(terms).sum()


def repeated(wrong: Sequence[Tensor]) -> Tensor:
    """Rows of the batch for intensive teaching, int64 [B]; none, [0], where no student errs.

    Drawn from torch's global generator: for each a student, by a softmax over shares of errors, then an error of it.

    Args:
        wrong: bool [B] of each student.
    """
    table = torch.stack(list(wrong)).cpu()
    errors = table.double().mean(1)
    if not errors.any():
        return torch.empty(0, dtype=torch.int64)
    share = errors.exp().masked_fill(errors == 0, 0)
    who = torch.multinomial(share, table.shape[1], replacement=True)
    return torch.multinomial(table[who].double(), 1).squeeze(1)


def intensive(pivot: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, rows: Tensor) -> None:
    """One step of the pivot on the images `rows` of the batch, each mixed with the batch's at its place.

    The share of the mixture is drawn from Beta(1, 1), one for the batch (mixup).
    """
    if not len(rows):
        return
    share = float(torch.rand(()))
    rows = rows.to(x.device)
    z = pivot(share * x[rows] + (1 - share) * x)
    mixed = share * nn.functional.cross_entropy(z, y[rows]) + (1 - share) * nn.functional.cross_entropy(z, y)
    optimizer.zero_grad()
    mixed.backward()
    optimizer.step()
