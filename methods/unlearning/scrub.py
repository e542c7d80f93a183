"""SCRUB and SCRUB+R: disobey the original on the forgotten rows, obey it on the others, in turns.

Meghdad Kurmanji, Peter Triantafillou, Jamie Hayes and Eleni Triantafillou, "Towards Unbounded Machine Unlearning",
NeurIPS 2023, arXiv:2302.09880; loops and reductions as in their code (meghdadk/SCRUB, commit 98ffb11).

**Effort.** A turn of the code is one pass over the retained rows, and each of the first `msteps` turns begins with one
over the forgotten rows. The number of updates of either kind is set by the batch sizes: to forget 100, 300 and 4,000
rows the notebooks make 21, 15 and 16 ascent updates, in batches of 16, 64 and 512. The defaults here count updates:
7 in each of 3 turns, as MIA_experiments.ipynb makes to forget 100 rows, and 10 turns of 10 updates on retained rows, as
small_scale_unlearning.ipynb makes to keep 300. A pass of ascent still meets every forgotten row once; of fewer than 14
rows it makes fewer updates, for no batch is smaller than two.

**Weights.** `alpha`, `gamma` and the temperature are those of large_scale_unlearning.ipynb. Weight decay is what the
network was trained with, on every parameter, added to the gradient of Adam, as in that notebook (0.0005) and in those
of the small scale (0.1). It does more than shrink weights: at the original's own weights the divergence from it has a
gradient of 0, where the network answers in train mode as in eval mode (one without BatchNorm). There Adam takes its
first steps towards 0, at full rate, by weight decay alone; without it they go wherever rounding points.

Done otherwise: Adam's rate is constant and 0.001 (the code begins at 0.0005, by Adam or SGD, and divides it by 10 at
given turns), and images are augmented as in training, the same for both networks.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.scenarios.judging import accuracy, logits
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Steps, Weight
from methods.distillation.losses import distillation_kl
from methods.unlearning.batches import divided, endless


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
    turns: Count = 10,
    ascent_turns: Steps = 3,
    ascents: Count = 7,
    descents: Count = 10,
    lr: Rate = 1e-3,
    alpha: Weight = 0.001,
    gamma: Weight = 0.99,
    temperature: Rate = 4.0,
    batch_size: Count = 128,
) -> nn.Module:
    """Raise the divergence from the original on the forgotten rows, repair on the retained ones; repeat.

    Args:
        turns: how often updates on retained rows follow those on forgotten rows.
        ascent_turns: how many of the first turns begin with a pass over the forgotten rows.
        ascents: updates of such a pass, which divide the forgotten rows among them.
        descents: updates on retained rows of every turn.
        lr: of Adam.
        alpha: weight of the divergence from the original on the retained rows.
        gamma: weight of cross-entropy on them.
        temperature: of both divergences.
        batch_size: retained rows an update, at most.
    """
    settings = ScrubOptions(turns, ascent_turns, ascents, descents, lr, alpha, gamma, temperature, batch_size)
    *_, student = students(task, settings)
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
    turns: Count = 10,
    ascent_turns: Steps = 3,
    ascents: Count = 7,
    descents: Count = 10,
    lr: Rate = 1e-3,
    alpha: Weight = 0.001,
    gamma: Weight = 0.99,
    temperature: Rate = 4.0,
    batch_size: Count = 128,
) -> nn.Module:
    """SCRUB, then rewind: the checkpoint whose error on forgotten rows is nearest to the last one's on unseen rows.

    Checkpoints are the original and the student after each turn; of equally near ones the latest is taken. Unseen
    rows are the validation rows of the forgotten rows' classes. The arguments are those of `scrub`, which this is
    where there are no forgotten rows.

    Raises:
        Skip: no validation row is of the forgotten rows' classes.
    """
    checkpoints = [copy.deepcopy(task.model.state_dict())]
    student = task.model
    settings = ScrubOptions(turns, ascent_turns, ascents, descents, lr, alpha, gamma, temperature, batch_size)
    for student in students(task, settings):
        checkpoints.append(copy.deepcopy(student.state_dict()))
    alike = torch.isin(task.validation_labels, task.forget_labels.unique())
    if not len(task.forget_labels):
        return student
    if not alike.any():
        raise Skip("no validation row is of the forgotten rows' classes: there is no error to rewind to")
    wanted = share_right(student, task.validation_inputs[alike], task.validation_labels[alike], task.num_classes)
    distances = []
    for state in checkpoints:
        student.load_state_dict(state)
        distances.append(abs(share_right(student, task.forget_inputs, task.forget_labels, task.num_classes) - wanted))
    nearest = max(i for i, distance in enumerate(distances) if distance == min(distances))
    student.load_state_dict(checkpoints[nearest])
    return student


@dataclass(frozen=True)
class ScrubOptions:
    """The arguments of `scrub`."""

    turns: int
    ascent_turns: int
    ascents: int
    descents: int
    lr: float
    alpha: float
    gamma: float
    temperature: float
    batch_size: int


def students(task: UnlearnTask, settings: ScrubOptions) -> Iterator[nn.Module]:
    """The student, a copy of the given model, after each turn."""
    teacher = task.model.requires_grad_(False).eval()
    student = copy.deepcopy(teacher).requires_grad_(True)
    optimizer = torch.optim.Adam(student.parameters(), lr=settings.lr, weight_decay=task.recipe.weight_decay)
    labels = task.retain_labels.to(task.device)
    draws = task.recipe.augment, task.generator, task.device
    retained = endless(task.retain_inputs, settings.batch_size, *draws)
    ascents = min(settings.ascents, max(1, len(task.forget_inputs) // 2)) if len(task.forget_inputs) else 0
    total = ascents * min(settings.ascent_turns, settings.turns) + settings.descents * settings.turns
    done = 0

    def divergence(x: Tensor, z: Tensor) -> Tensor:
        with torch.no_grad():
            target = teacher(x)
        return distillation_kl(z, target, settings.temperature)

    def step(loss: Tensor) -> None:
        nonlocal done
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done += 1
        task.progress(done, total)

    for turn in range(settings.turns):
        student.train()
        if turn < settings.ascent_turns:
            for x, _ in divided(task.forget_inputs, ascents, *draws):
                step(-divergence(x, student(x)))
        for x, rows in itertools.islice(retained, settings.descents):
            z = student(x)
            hard = nn.functional.cross_entropy(z, labels[rows], label_smoothing=task.recipe.label_smoothing)
            step(settings.gamma * hard + settings.alpha * divergence(x, z))
        yield student.eval()


def share_right(model: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> float:
    """Share of uint8 images [N, C, H, W] that a model gets right in eval mode."""
    return accuracy(logits(model, images, num_classes), labels)
