"""DAFL: Data-Free Learning of Student Networks.

Chen, Wang, Xu, Yang, Liu, Shi, Xu, Xu and Tian, ICCV 2019, arXiv:1904.01186; facts checked against the authors' code
(huawei-noah, `DAFL-train.py`). A generator learns to make images that the teacher is sure of, that excite its
features, and whose classes balance; the student is distilled on each batch as it is made. The generator does not
look at the student.

Differs from the paper: the student's optimiser, learning rate schedule, batch size and distillation temperature
(the paper's is 1) are the board's; the generator's width is a parameter; Adam's first moment decays at 0.5, as in the
later harnesses of zju-vipa.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.losses import activation, class_balance, one_hot
from methods.datafree.online import Online, SynthesisLoss, Term
from methods.datafree.student import StudentTraining
from methods.watching import Latest, penultimate

BETAS = (0.5, 0.999)
"""Of the generator's Adam."""


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:1904.01186", year=2019)
def dafl(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    oh: Weight = 1.0,
    ie: Weight = 20.0,
    a: Weight = 0.01,
    lr_g: Rate = 3e-4,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """DAFL: distil on images of a generator that makes the teacher sure, balanced over classes, and active.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        oh: weight of the cross-entropy with the teacher's own decision (authors' code: 1 on MNIST, 0.05 on CIFAR-10).
        ie: weight of the class balance, sum p log10 p of the batch's mean probabilities (authors' code: 5).
        a: weight of the penultimate features' mean absolute value (authors' code: 0.1 on MNIST, 0.01 on CIFAR-10).
        lr_g: learning rate of the generator's Adam (authors' code: 0.02 on CIFAR-10).
        nz: length of the noise vector (papers: 1000 on CIFAR-10, 100 on MNIST).
        ngf: width of the generator (papers: 64).
    """
    training = by or StudentTraining(task)
    with penultimate(task.teacher) as features:
        loss = synthesis_loss(features, oh, ie, a, extra)
        online = Online(task, loss, lr_g=lr_g, nz=nz, ngf=ngf, betas=BETAS)
        while training.running:
            training.imitate(*online.learn(training.model))
    return training.model


def synthesis_loss(
    features: Latest, oh: float = 1.0, ie: float = 20.0, a: float = 0.01, extra: Term | None = None
) -> SynthesisLoss:
    """oh * L_oh + ie * L_bal + a * L_act, and a further term: what this host's generator descends.

    Args:
        features: the teacher's, from `penultimate`.
    """

    def loss(x: Tensor, t: Tensor, _student: nn.Module) -> Tensor:
        value = oh * one_hot(t) + ie * class_balance(t, base=10) + a * activation(features.latest[0])
        return value if extra is None else value + extra(x, t)

    return loss
