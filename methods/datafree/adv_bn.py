"""Adversarial distillation held near the data by BatchNorm statistics: the host loop of replay methods at small scale.

The loop is that of DFAD (Fang, Song, Shen, Wang, Chen and Song, "Data-Free Adversarial Distillation", 2019,
arXiv:1912.11006; facts checked against VainF/Data-Free-Adversarial-Distillation): some student steps on the mean
absolute difference of logits, each on new images, then one step of the generator up that difference.

Differs from the paper: to the generator's loss is added DeepInversion's distance of BatchNorm statistics (R_bn),
without which the generator wanders among a few classes for thousands of steps; the student's optimiser, schedule and
clipping are the board's.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.online import Online, SynthesisLoss, Term, play
from methods.datafree.student import StudentTraining, targets


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:1912.11006", year=2019)
def adv_bn(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    bn: Weight = 1.0,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """DFAD with BatchNorm statistics: distil on images that a generator makes to show where the student is wrong.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        bn: weight of the distance of BatchNorm statistics in the generator's loss.
        student_steps: updates of the student for one of the generator.
        lr_g: learning rate of the generator's Adam.
        nz: length of the noise vector (paper: 256).
        ngf: width of the generator (paper: 64).
    """
    training = by or StudentTraining(task)

    def learn(x: Tensor) -> None:
        training.update(lambda: l1_loss(training.model(x), targets(task, x)), x)

    with BatchNormStatistics(task.teacher) as statistics:
        online = Online(task, synthesis_loss(statistics, bn, extra), lr_g=lr_g, nz=nz, ngf=ngf)
        return play(training, online, task, student_steps, learn)


def synthesis_loss(statistics: BatchNormStatistics, bn: float, extra: Term | None = None) -> SynthesisLoss:
    """bn * R_bn - mean |S - T|, and a further term: what this host's generator descends."""

    def loss(x: Tensor, t: Tensor, student: nn.Module) -> Tensor:
        value = bn * statistics.distance() - l1_loss(student(x), t)
        return value if extra is None else value + extra(x, t)

    return loss
