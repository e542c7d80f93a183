"""SCRUB and SCRUB+R: disobey the original on the forgotten rows, obey it on the others, in turns.

Meghdad Kurmanji, Peter Triantafillou, Jamie Hayes and Eleni Triantafillou, "Towards Unbounded Machine Unlearning",
NeurIPS 2023, arXiv:2302.09880; loops and reductions as in their code (meghdadk/SCRUB).

Done otherwise: Adam's rate is constant (the code divides it by 10 at given epochs), sizes and rate are those of a
small network, and images are augmented as in training, the same for both networks.

At the original's own weights the divergence from it is 0 and so is its gradient. In networks without BatchNorm, which
give the same output in train mode, the first pass over the forgotten rows therefore does nothing; it is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.scenarios.judging import logits
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Steps, Weight
from methods.distillation.losses import distillation_kl
from methods.unlearning.batches import epoch, number_of_batches


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget"},
    paper="arXiv:2302.09880",
    year=2023,
)
def scrub(
    task: UnlearnTask,
    *,
    epochs: Count = 8,
    msteps: Steps = 3,
    lr: Rate = 1e-3,
    alpha: Weight = 0.001,
    gamma: Weight = 0.99,
    temperature: Rate = 4.0,
    retain_batch: Count = 128,
    forget_batch: Count = 64,
) -> nn.Module:
    """Raise the divergence from the original on the forgotten rows, repair on the retained ones; repeat.

    Args:
        epochs: passes over the retained rows.
        msteps: how many of the first epochs begin with a pass over the forgotten rows.
        lr: of Adam.
        alpha: weight of the divergence from the original on the retained rows.
        gamma: weight of cross-entropy on them.
        temperature: of both divergences.
        retain_batch: retained rows a step.
        forget_batch: forgotten rows a step.
    """
    *_, student = passes(task, epochs, msteps, lr, alpha, gamma, temperature, retain_batch, forget_batch)
    return student


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget_labels", "validation"},
    paper="arXiv:2302.09880",
    year=2023,
)
def scrub_r(
    task: UnlearnTask,
    *,
    epochs: Count = 8,
    msteps: Steps = 3,
    lr: Rate = 1e-3,
    alpha: Weight = 0.001,
    gamma: Weight = 0.99,
    temperature: Rate = 4.0,
    retain_batch: Count = 128,
    forget_batch: Count = 64,
) -> nn.Module:
    """SCRUB, then rewind: the checkpoint whose error on forgotten rows is nearest to the last one's on unseen rows.

    Checkpoints are the original and the student after each epoch; of equally near ones the latest is taken. Unseen
    rows are the validation rows of the forgotten rows' classes. The arguments are those of `scrub`, which this is
    where there are no forgotten rows.

    Raises:
        Skip: no validation row is of the forgotten rows' classes.
    """
    checkpoints = [copy.deepcopy(task.model.state_dict())]
    student = task.model
    for student in passes(task, epochs, msteps, lr, alpha, gamma, temperature, retain_batch, forget_batch):
        checkpoints.append(copy.deepcopy(student.state_dict()))
    alike = torch.isin(task.validation_labels, task.forget_labels.unique())
    if not len(task.forget_labels):
        return student
    if not alike.any():
        raise Skip("no validation row is of the forgotten rows' classes: there is no error to rewind to")
    wanted = accuracy(student, task.validation_images[alike], task.validation_labels[alike], task.num_classes)
    distances = []
    for state in checkpoints:
        student.load_state_dict(state)
        distances.append(abs(accuracy(student, task.forget_images, task.forget_labels, task.num_classes) - wanted))
    nearest = max(i for i, distance in enumerate(distances) if distance == min(distances))
    student.load_state_dict(checkpoints[nearest])
    return student


def passes(
    task: UnlearnTask,
    epochs: int,
    msteps: int,
    lr: float,
    alpha: float,
    gamma: float,
    temperature: float,
    retain_batch: int,
    forget_batch: int,
) -> Iterator[nn.Module]:
    """The student, a copy of the given model, after each epoch."""
    teacher = task.model.requires_grad_(False).eval()
    student = copy.deepcopy(teacher).requires_grad_(True)
    optimizer = torch.optim.Adam(student.parameters(), lr=lr)
    labels = task.retain_labels.to(task.device)
    steps = [number_of_batches(len(task.forget_images), forget_batch)] * min(msteps, epochs)
    steps += [number_of_batches(len(task.retain_images), retain_batch)] * epochs
    done = 0

    def divergence(x: Tensor, z: Tensor) -> Tensor:
        with torch.no_grad():
            target = teacher(x)
        return distillation_kl(z, target, temperature)

    def step(loss: Tensor) -> None:
        nonlocal done
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done += 1
        task.progress(done, sum(steps))

    for number in range(epochs):
        student.train()
        if number < msteps:
            for x, _ in epoch(task.forget_images, forget_batch, task.recipe.augment, task.generator, task.device):
                step(-divergence(x, student(x)))
        for x, rows in epoch(task.retain_images, retain_batch, task.recipe.augment, task.generator, task.device):
            z = student(x)
            hard = nn.functional.cross_entropy(z, labels[rows], label_smoothing=task.recipe.label_smoothing)
            step(gamma * hard + alpha * divergence(x, z))
        yield student.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> float:
    """Share of uint8 images [N, C, H, W] that a model gets right in eval mode."""
    return float((logits(model, images, num_classes).argmax(1) == labels.cpu()).double().mean())
