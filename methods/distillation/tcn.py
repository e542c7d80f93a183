"""Teacher-Class Network: a neural network compression mechanism.

Shaiq Munir Malik, Fnu Mohbat, Muhammad Umair Haider, Muhammad Musab Rasheed and Murtaza Taj, BMVC 2021,
arXiv:2004.03281.

The vector that the teacher's head reads is cut into pieces, and each of several small students learns one of them by
its mean squared error, without labels. Side by side they give the whole vector again; a head, which starts as the
teacher's, is then tuned on it with labels, with dropout.

Against the authors' notebooks (musab-r/TCN): the students are narrow networks of the board's student's kind, as wide as
all of them and the head together fit into its size; all are trained in one loop over the same batches, which gives each
what training it alone would; students and head are trained by the recipe, the head for a share of its epochs (there 10
epochs of Adam and 5 for the head on MNIST, more for other data). A ReLU stands before the head where one ends the
teacher's vector, as it does there. While the head is tuned the students are in eval mode, as frozen layers of Keras
are. The GAN variant is left out.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.compositions import SideBySide
from bench.models.stages import stages
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.scenarios.judging import size
from bench.types import Count, Fraction
from methods.distillation.networks import another, width_of
from methods.distillation.training import answers, first_look, seeing


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:2004.03281", year=2021)
def tcn(task: DistillTask, *, students: Count = 4, head_share: Fraction = 0.5, dropout: Fraction = 0.5) -> nn.Module:
    """Teacher-class network: small students give a piece each of what the teacher's head reads.

    Args:
        students: how many share the student's size.
        head_share: epochs in which the head is tuned, as a share of the recipe's.
        dropout: before the head, while it is tuned.
    """
    _, shown = first_look(task)
    pieces = [len(piece) for piece in torch.arange(shown.embedding.shape[1]).tensor_split(students)]
    head = copy.deepcopy(task.teacher.get_submodule("head")).requires_grad_(True)
    members = fitting(task.student, task.input_shape, pieces, size(task.student) - size(head))
    joined = SideBySide(members, head, relu=stages(task.teacher)[-1].relu)
    tuned = round(head_share * task.recipe.epochs)
    epochs = task.recipe.epochs + tuned
    smoothing = task.recipe.label_smoothing

    with seeing(task.teacher.to(task.device)) as see:
        teacher = answers(task, see)

        def imitate(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
            goals = teacher(x, index).embedding.split(pieces, dim=1)
            errors = [nn.functional.mse_loss(member(x), goal) for member, goal in zip(members, goals, strict=True)]
            return torch.stack(errors).sum()

        def tune(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
            with torch.no_grad():
                z = joined.features(x)
            return nn.functional.cross_entropy(model(nn.functional.dropout(z, dropout)), y, label_smoothing=smoothing)

        for model, loss, trained, before, count in (
            (joined, imitate, joined.members, 0, task.recipe.epochs),
            (head, tune, head, task.recipe.epochs, tuned),
        ):
            if not count:
                continue

            def progress(done: int, total: int, before: int = before, count: int = count) -> None:
                task.progress(before * total + count * done, epochs * total)

            fit(
                model,
                task.inputs,
                task.labels,
                task.recipe.model_copy(update={"epochs": count}),
                generator=task.generator,
                device=task.compute,
                loss=loss,
                parameters=trained.parameters(),
                progress=progress,
            )
    return joined


def fitting(student: nn.Module, shape: tuple[int, ...], pieces: list[int], room: int) -> list[nn.Module]:
    """Untrained networks like `student`, one for each piece and with as many outputs: as wide as they fit into `room`.

    Args:
        student: the board's.
        shape: of an input.
        pieces: outputs of each.
        room: parameters of all of them together.

    Raises:
        Skip: they do not fit at any width.
    """
    for width in range(width_of(student), 0, -1):
        try:
            with torch.device("meta"):  # counts without drawing weights
                needed = sum(size(another(student, shape, width=width, outputs=outputs)) for outputs in pieces)
        except Skip:
            continue  # a transformer's heads do not divide this width
        if needed <= room:
            return [another(student, shape, width=width, outputs=outputs) for outputs in pieces]
    raise Skip(f"needs {len(pieces)} networks like the student that are together no larger, and none are so narrow")
