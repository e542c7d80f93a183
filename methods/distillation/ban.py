"""Born-Again Neural Networks, and the two probes of what a teacher's probabilities carry.

Tommaso Furlanello, Zachary C. Lipton, Michael Tschannen, Laurent Itti and Anima Anandkumar, ICML 2018,
arXiv:1805.04770.

A student as large as its teacher learns the teacher's probabilities, and often does better; the next generation learns
from it in turn, and the generations together do better still. `cwtm` keeps of the teacher only how sure it is of an
image, as the weight of its label; `dkpp` keeps its largest probability and shuffles the others in each image.

Each generation is trained by the recipe for its whole length, from weights of its own, so that a row with n generations
has n times the updates. The board says whether student and teacher are of one size. Temperature 1, and for BAN no
labels, as in the paper (its BAN+L is `hard_weight = 1`). The paper's learning rates are left for the recipe's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench import method
from bench.models.compositions import Mixture
from bench.models.train import Loss, fit
from bench.scenarios.distill import DistillTask
from bench.types import Count, Weight
from methods.distillation.losses import distillation_kl, others
from methods.distillation.networks import another
from methods.distillation.training import Batch, distil_outputs


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:1805.04770", year=2018)
def ban(task: DistillTask, *, generations: Count = 1, hard_weight: Weight = 0.0, ensemble: bool = False) -> nn.Module:
    """Born again: a student learns the teacher's probabilities, the next one learns the student's, and so on.

    Args:
        generations: students that are trained, one after another.
        hard_weight: of the labels' cross-entropy; the divergence weighs 1.
        ensemble: all generations together are the result, by their mean probabilities, in place of the last one.
    """
    students = [task.student, *(another(task.student, task.input_shape) for _ in range(generations - 1))]
    teacher: Callable[[Tensor], Tensor] = task.teacher_outputs
    for number, student in enumerate(students):

        def progress(done: int, total: int, before: int = number) -> None:
            task.progress(before * total + done, generations * total)

        fit(
            student,
            task.inputs,
            task.labels,
            task.recipe,
            generator=task.generator,
            device=task.compute,
            loss=born_again(teacher, hard_weight, task.recipe.label_smoothing),
            progress=progress,
        )
        teacher = student
    return Mixture(students).eval() if ensemble else students[-1]


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:1805.04770", year=2018)
def cwtm(task: DistillTask) -> nn.Module:
    """Confidence weighted by teacher max: labels, weighted by how sure the teacher is of each image."""

    def loss(batch: Batch) -> Tensor:
        return weighted_labels(batch.student.logits, batch.teacher.logits, batch.labels, task.recipe.label_smoothing)

    return distil_outputs(task, loss)


@method(family="distillation", scenario="distill", access={"outputs", "labels"}, paper="arXiv:1805.04770", year=2018)
def dkpp(task: DistillTask) -> nn.Module:
    """Dark knowledge with permuted predictions: the teacher's largest probability, and the others in a drawn order."""

    def loss(batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(batch.student.logits, permuted(batch.teacher.logits.softmax(1)))

    return distil_outputs(task, loss)


def born_again(teacher: Callable[[Tensor], Tensor], hard_weight: float, smoothing: float) -> Loss:
    """KL(p_teacher || p_student), and `hard_weight` times the labels' cross-entropy, for `bench.models.train.fit`."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        with torch.no_grad():
            goal = teacher(x)
        z = model(x)
        value = distillation_kl(z, goal, 1.0)
        if hard_weight:
            value = value + hard_weight * nn.functional.cross_entropy(z, y, label_smoothing=smoothing)
        return value

    return loss


def weighted_labels(student: Tensor, teacher: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of the student's logits [B, C] with labels [B], summed with weights that sum to 1 over the batch:
    the largest probability of the teacher's logits [B, C].
    """
    sure = teacher.softmax(1).amax(1)
    each = nn.functional.cross_entropy(student, labels, reduction="none", label_smoothing=smoothing)
    return (sure / sure.sum() * each).sum()


def permuted(probabilities: Tensor) -> Tensor:
    """Probabilities [B, C] whose largest stays where it is, the others of each row in an order of its own.

    Drawn from torch's global generator.
    """
    top = probabilities.argmax(1)
    rest = others(probabilities, top)
    order = torch.rand(rest.shape).argsort(1).to(rest.device)
    free = torch.ones_like(probabilities, dtype=torch.bool).scatter_(1, top[:, None], value=False)
    return probabilities.masked_scatter(free, rest.gather(1, order))
