"""PRE-DFKD: Robust and Resource-Efficient Data-Free Knowledge Distillation by Generative Pseudo Replay.

Binici, Aggarwal, Pham, Leman and Mitra, AAAI 2022, arXiv:2201.03019; facts checked against the authors' code
(kuluhan/PRE-DFKD). A generator makes images that the teacher is sure of and that the student sees differently; what
it made before would be forgotten, so a variational autoencoder learns to make it again, from its own samples too, and
a small share of every batch is recalled from it. Unlike a pool, this memory does not grow.

Differs from the authors' code: to the generator's loss is added the distance of BatchNorm statistics that its host at
small scale, `adv-bn`, has, and the generator has no spectral normalisation; novel and remembered images together fill
the board's batch, so that all rows see equally many (theirs adds an eighth of a batch on top: a ninth of the sum);
the autoencoder rehearses the very images that the student was shown, where theirs recalls new ones; nothing is
recalled before it has been trained once; the divergence between student and teacher is Jensen and Shannon's itself,
averaged over images, where the code clips probabilities at 0.01, swaps the arguments and averages over classes too;
the student's optimiser is the board's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from bench import Skip, method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Fraction, Rate, Steps, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.losses import activation, class_balance, jensen_shannon, one_hot
from methods.datafree.online import Online, SynthesisLoss, Term
from methods.datafree.student import StudentTraining, targets
from methods.datafree.vae_memory import VAEMemory
from methods.watching import Latest, penultimate

TEMPERATURE = 3.0
"""Of the divergence between student and teacher (authors' code)."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2201.03019", year=2022)
def pre_dfkd(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    replay: Fraction = 1 / 9,
    oh: Weight = 1.0,
    ie: Weight = 5.0,
    a: Weight = 0.1,
    adv: Weight = 1.0,
    bn: Weight = 1.0,
    student_steps: Count = 10,
    memory_steps: Steps = 4,
    lr_g: Rate = 1e-3,
    lr_memory: Rate = 1e-3,
    lr_z: Rate = 0.02,
    nz: Count = 100,
    ngf: Count = 24,
    memory_width: Count = 16,
) -> nn.Module:
    """PRE-DFKD: adversarial distillation that replays earlier images from a variational autoencoder.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        replay: share of remembered images in a student's batch, two at least; at 0 all are novel and nothing is kept.
        oh: weight of the cross-entropy with the teacher's own decision.
        ie: weight of the class balance, sum p log10 p of the batch's mean probabilities.
        a: weight of the penultimate features' mean absolute value.
        adv: weight of the divergence between student and teacher.
        bn: weight of the distance of BatchNorm statistics (paper: none).
        student_steps: updates of the student for one of the generator.
        memory_steps: how many of them, the first ones, are followed by a step of the autoencoder.
        lr_g: learning rate of the generator's Adam (authors' code: 0.02 at batches of 1024).
        lr_memory: learning rate of the autoencoder's Adam (authors' code: a fortieth of 0.02).
        lr_z: length of the step that tunes remembered codes.
        nz: length of the noise vector and of the code (authors' code: 1000).
        ngf: width of the generator (authors' code: 64).
        memory_width: width of the autoencoder (authors' code: 64).
    """
    training = by or StudentTraining(task)
    size = task.batch_size
    if replay and size < 3:
        raise Skip(f"needs a batch of new and at least two remembered images, and batch_size is {size}")
    remembered = min(max(2, round(replay * size)), size - 1) if replay else 0
    student = training.model

    def match(t: Tensor) -> Tensor:
        return oh * one_hot(t) + ie * class_balance(t, base=10)

    memory = VAEMemory(task, match, nz=nz, width=memory_width, lr=lr_memory, lr_z=lr_z)

    def learn(online: Online, remember: bool) -> None:
        """One update of the student, and then one of its memory."""
        x = online.images(size - remembered if memory.steps else size)
        if memory.steps:
            x = torch.cat([x, memory.recall(remembered)])  # one batch, since its statistics are the student's
        t = targets(task, x)
        training.update(lambda: l1_loss(student(x), t), x)
        if remember:
            half = min(size // 2, size - remembered)
            memory.learn(torch.cat([x[:half], x[-remembered:]]), torch.cat([t[:half], t[-remembered:]]))

    with BatchNormStatistics(task.teacher) as statistics, penultimate(task.teacher) as features:
        own = synthesis_loss(statistics, features, oh=oh, ie=ie, a=a, adv=adv, bn=bn, extra=extra)
        online = Online(task, own, lr_g=lr_g, nz=nz, ngf=ngf)
        while training.running:
            online.learn(student)
            for i in training.up_to(student_steps):
                learn(online, remember=remembered > 0 and i < memory_steps)
    return student


def synthesis_loss(
    statistics: BatchNormStatistics,
    features: Latest,
    *,
    oh: float,
    ie: float,
    a: float,
    adv: float,
    bn: float,
    extra: Term | None = None,
) -> SynthesisLoss:
    """DAFL's three terms, minus the divergence between student and teacher, plus R_bn and a further term."""

    def loss(x: Tensor, t: Tensor, student: nn.Module) -> Tensor:
        value = oh * one_hot(t) + ie * class_balance(t, base=10) + a * activation(features.latest[0])
        value = value - adv * jensen_shannon(student(x), t, TEMPERATURE) + bn * statistics.distance()
        return value if extra is None else value + extra(x, t)

    return loss
