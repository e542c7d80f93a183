"""LRA: Learning to Retain while Acquiring, against Distribution Shift in Adversarial Data-Free Distillation.

Patel, Mopuri and Qiu, CVPR 2023, arXiv:2302.14290, with its first source of old images, a memory buffer; facts
checked against the authors' code (gaurav104/LRA, `predfkd_meta_memory.py`). A generator that follows the student
changes what it makes, and the student forgets. So each update also asks that learning the new images (meta-train)
keeps the remembered ones right (meta-test):

    L_acq(theta) + L_ret(theta - alpha * grad L_acq(theta)),

differentiated through the inner step. To first order in alpha this rewards gradients that point the same way. It is a
plug-in: a host gives the generator, the number of updates for each of its steps, and the loss between logits.

Differs from the authors' code: hosts are `adv-bn`, `dafl` and `dfad`, each with its own defaults, so that the two
rows differ in nothing else (theirs is PRE-DFKD's generator); new and remembered images together fill the board's
batch, so that all rows see equally many (theirs adds an eighth of a batch on top); the first term is the paper's L_acq
(their code counts the remembered images in it too); the inner step has no weight decay; the memory's period is
counted in updates (theirs keeps one batch every 5 of 400 epochs); with `dafl` the loss is that host's, the KL
divergence at the board's temperature (the paper's is the mean absolute difference of logits, as with the others).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss

from bench import Skip, method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Fraction, Weight
from methods.datafree import adv_bn, dafl
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.online import Online, play
from methods.datafree.pool import ReplayMemory
from methods.datafree.student import StudentTraining, targets
from methods.distillation.losses import distillation_kl
from methods.watching import penultimate

STUDENT_STEPS = 5
"""Updates for one step of the generator, with `adv-bn` and `dfad`; `dafl` alternates."""

Difference = Callable[[Tensor, Tensor], Tensor]
"""difference(s, t) -> scalar, of the student's and the teacher's logits, each [B, K]."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2302.14290", year=2023)
def lra_dfkd(
    task: DataFreeTask,
    *,
    host: Literal["adv-bn", "dafl", "dfad"] = "adv-bn",
    alpha: Weight = 0.1,
    replay: Fraction = 0.5,
    capacity: Count = 10,
    period: Count = 25,
    ngf: Count = 24,
) -> nn.Module:
    """LRA: adversarial distillation in which learning new images must not undo the remembered ones (second order).

    Args:
        host: the method whose generator makes the images.
        alpha: length of the inner step (authors' code: 0.9 at 100 classes); at 0 the memory is replayed, no more.
        replay: share of remembered images in a student's batch (authors' code: a ninth).
        capacity: batches that the memory holds; the oldest makes room.
        period: updates of the student from one batch kept to the next.
        ngf: width of the host's generator.
    """
    if task.batch_size < 2:
        raise Skip(f"needs a batch of new and remembered images, and batch_size is {task.batch_size}")
    remembered = min(max(1, round(replay * task.batch_size)), task.batch_size - 1)
    difference = partial(distillation_kl, temperature=task.temperature) if host == "dafl" else l1_loss
    memory = ReplayMemory(task, capacity)
    training = StudentTraining(task)
    student = training.model

    def fresh() -> int:
        return task.batch_size - remembered if memory else task.batch_size

    def learn(x: Tensor, known: Tensor | None = None) -> None:
        """An update on the first `fresh()` of the images x; `known` are the teacher's logits, if they are."""
        new = x[: fresh()]
        old, t_old = memory.sample(task.generator) if memory else (x[:0], None)

        def loss() -> Tensor:
            t = targets(task, new) if known is None else known[: len(new)]
            if t_old is None:
                return difference(student(new), t)
            return retain_while_acquiring(student, (new, t), (old, t_old), alpha, difference)

        training.update(loss, torch.cat([new, old]))
        if (training.done - 1) % period == 0:
            kept = online.images(remembered)
            memory.add(kept, targets(task, kept))

    with _generator(task, host, ngf) as online:
        if host != "dafl":
            return play(training, online, task, STUDENT_STEPS, learn, fresh)
        while training.running:
            learn(*online.learn(student))
        return student


@contextmanager
def _generator(task: DataFreeTask, host: str, ngf: int) -> Iterator[Online]:
    """The host's generator, as its own file has it by default."""
    if host == "dafl":
        with penultimate(task.teacher) as features:
            yield Online(task, dafl.synthesis_loss(features), lr_g=3e-4, nz=100, ngf=ngf, betas=dafl.BETAS)
    elif host == "dfad":
        yield Online(task, lambda x, t, student: -l1_loss(student(x), t), lr_g=1e-3, nz=256, ngf=ngf)
    else:
        with BatchNormStatistics(task.teacher) as statistics:
            yield Online(task, adv_bn.synthesis_loss(statistics, bn=1.0), lr_g=1e-3, nz=100, ngf=ngf)


def retain_while_acquiring(
    student: nn.Module,
    new: tuple[Tensor, Tensor],
    old: tuple[Tensor, Tensor],
    alpha: float,
    difference: Difference = l1_loss,
) -> Tensor:
    """L_acq(theta) + L_ret(theta - alpha * grad L_acq(theta)), a scalar with its graph through the inner step.

    The student's own BatchNorm buffers see the new images only: the look ahead runs on copies. Its gradient takes one
    backward pass more than that of joint replay: autograd joins the Hessian's product with the backward of L_acq.

    Args:
        student: in train mode.
        new: images [B, C, H, W] and the teacher's logits [B, K] for them.
        old: the same of remembered images.
        alpha: length of the inner step; without one, no graph of the gradient is built.
        difference: of the student's logits and the teacher's.
    """
    acquire = difference(student(new[0]), new[1])
    ahead: dict[str, Tensor] = dict(student.named_parameters())
    if alpha > 0:
        slopes = torch.autograd.grad(acquire, list(ahead.values()), create_graph=True)
        ahead = {name: p - alpha * g for (name, p), g in zip(ahead.items(), slopes, strict=True)}
    buffers = {name: b.clone() for name, b in student.named_buffers()}
    retain = difference(functional_call(student, {**ahead, **buffers}, (old[0],)), old[1])
    return acquire + retain
