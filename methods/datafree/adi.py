"""ADI: Adaptive DeepInversion, the part of "Dreaming to Distill" that looks at the student.

Yin, Molchanov, Li, Alvarez, Mallya, Hoiem, Jha and Kautz, CVPR 2020, arXiv:1912.08795; facts checked against the
authors' code (NVlabs/DeepInversion, `cifar10/`). DeepInversion is repeated while the student learns, and its loss
gains a_c * (1 - JS), the Jensen-Shannon divergence of student and teacher at temperature 3: later pictures show what
the student does not know yet, and join the pool that it is distilled on.

Differs from the paper as `deepinversion` does, and: the divergence is the paper's formula, which the public code
replaces by one of clamped probabilities with its arguments exchanged; rounds are small and even, one batch each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.deepinversion import LONGEST_SYNTHESIS, invert
from methods.datafree.losses import jensen_shannon
from methods.datafree.online import Term
from methods.datafree.pool import ImagePool
from methods.datafree.student import StudentTraining, distill, still

TEMPERATURE = 3.0
"""Of the compared probabilities, as in the authors' code."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:1912.08795", year=2020)
def adi(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    competition: Weight = 10.0,
    batches: Count = 10,
    size: Count = 100,
    iterations: Count = 100,
    lr: Rate = 0.1,
    bn: Weight = 1.0,
    tv: Weight = 2.5e-5,
    l2: Weight = 0.0,
) -> nn.Module:
    """ADI: DeepInversion in rounds, each of whose pictures also set the student of its time against the teacher.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the pictures' loss.
        competition: weight a_c of 1 minus the divergence of student and teacher; the first round, whose student has
            learnt nothing yet, is without it, as the paper's first pictures are.
        batches: rounds, of one synthesised batch each, over the first half of the budget.
        size: as in `deepinversion`, like the rest.
    """
    training = by or StudentTraining(task)
    pool = ImagePool(task)
    classes = torch.arange(size, device=task.device) % task.num_classes
    term = extra
    with BatchNormStatistics(task.teacher) as statistics:
        for i in range(batches):
            if training.spent >= LONGEST_SYNTHESIS:
                break
            with judging(training.model):
                pool.add(invert(task, statistics, classes, term, iterations=iterations, lr=lr, bn=bn, tv=tv, l2=l2))
            while training.spent < LONGEST_SYNTHESIS * (i + 1) / batches:
                distill(training, pool.images, task, 1)
            term = compete(task, training.model, competition, extra)
    distill(training, pool.images, task)
    return training.model


def compete(task: DataFreeTask, student: nn.Module, weight: float, extra: Term | None = None) -> Term:
    """The term weight * (1 - JS(student, teacher)) of the pictures' loss, and what is to be added to it."""

    def term(x: Tensor, t: Tensor) -> Tensor:
        with task.compute.autocast():
            s = student(x)
        value = weight * (1 - jensen_shannon(s, t, TEMPERATURE))
        return value if extra is None else value + extra(x, t)

    return term


@contextmanager
def judging(student: nn.Module) -> Iterator[None]:
    """Inside, the student is in eval mode and does not learn: its BatchNorm layers remember no unfinished picture."""
    with still(student):
        student.eval()
        yield
        student.train()
