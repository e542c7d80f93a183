"""LRA: Learning to Retain while Acquiring, against Distribution Shift in Adversarial Data-Free Distillation.

Patel, Mopuri and Qiu, CVPR 2023, arXiv:2302.14290, with its first source of old images, a memory buffer; facts
checked against the authors' code (gaurav104/LRA, `predfkd_meta_memory.py`). A generator that follows the student
changes what it makes, and the student forgets. So each update also asks that learning the new images (meta-train)
keeps the remembered ones right (meta-test):

    L_acq(theta) + L_ret(theta - alpha * grad L_acq(theta)),    both mean absolute differences of logits,

differentiated through the inner step. To first order in alpha this rewards gradients that point the same way.

Differs from the authors' code: the host loop is `adv-bn`'s, so that the two rows differ in nothing else (theirs is
PRE-DFKD's generator); new and remembered images together fill the board's batch, so that all rows see equally many
(theirs adds an eighth of a batch on top); the first term is the paper's L_acq (their code counts the remembered
images in it too); the inner step has no weight decay; the memory's period is counted in steps of the generator
(theirs keeps one batch every 5 of 400 epochs).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import l1_loss

from bench import Skip, method
from bench.scenarios.datafree import DataFreeTask
from bench.types import Count, Fraction, Rate, Weight
from methods.datafree.adv_bn import synthesis_loss
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.online import Online
from methods.datafree.pool import ReplayMemory
from methods.datafree.student import StudentTraining, targets


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2302.14290", year=2023)
def lra_dfkd(
    task: DataFreeTask,
    *,
    alpha: Weight = 0.1,
    replay: Fraction = 0.5,
    capacity: Count = 10,
    period: Count = 5,
    bn: Weight = 1.0,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """LRA: adversarial distillation in which learning new images must not undo the remembered ones (second order).

    Args:
        alpha: length of the inner step (authors' code: 0.9 at 100 classes); at 0 the memory is replayed, no more.
        replay: share of remembered images in a student's batch (authors' code: a ninth).
        capacity: batches that the memory holds; the oldest makes room.
        period: steps of the generator from one batch kept to the next.
        bn: as in `adv-bn`, like the rest.
    """
    if task.batch_size < 2:
        raise Skip(f"needs a batch of new and remembered images, and batch_size is {task.batch_size}")
    remembered = min(max(1, round(replay * task.batch_size)), task.batch_size - 1)
    memory = ReplayMemory(task, capacity)
    training = StudentTraining(task)
    student = training.model
    rounds = 0

    def learn(new: Tensor) -> None:
        if not memory:
            training.update(lambda: l1_loss(student(new), targets(task, new)), new)
            return
        new, old = new[: task.batch_size - remembered], memory.sample(task.generator)
        both = torch.cat([new, old])

        def loss() -> Tensor:
            t = targets(task, both).split([len(new), len(old)])
            return retain_while_acquiring(student, (new, t[0]), (old, t[1]), alpha)

        training.update(loss, both)

    with BatchNormStatistics(task.teacher) as statistics:
        online = Online(task, synthesis_loss(statistics, bn), lr_g=lr_g, nz=nz, ngf=ngf)
        while training.running:
            for _ in training.up_to(student_steps):
                learn(online.images(task.batch_size))
            online.learn(student)
            if rounds % period == 0:
                memory.add(online.images(remembered))
            rounds += 1
    return student


def retain_while_acquiring(
    student: nn.Module, new: tuple[Tensor, Tensor], old: tuple[Tensor, Tensor], alpha: float
) -> Tensor:
    """L_acq(theta) + L_ret(theta - alpha * grad L_acq(theta)), a scalar with its graph through the inner step.

    The student's own BatchNorm buffers see the new images only: the look ahead runs on copies.

    Args:
        student: in train mode.
        new: images [B, C, H, W] and the teacher's logits [B, K] for them.
        old: the same of remembered images.
        alpha: length of the inner step.
    """
    acquire = l1_loss(student(new[0]), new[1])
    parameters = dict(student.named_parameters())
    slopes = torch.autograd.grad(acquire, list(parameters.values()), create_graph=True)
    ahead = {name: p - alpha * g for (name, p), g in zip(parameters.items(), slopes, strict=True)}
    buffers = {name: b.clone() for name, b in student.named_buffers()}
    retain = l1_loss(functional_call(student, {**ahead, **buffers}, (old[0],)), old[1])
    return acquire + retain
