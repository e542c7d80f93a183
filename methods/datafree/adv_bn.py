"""Adversarial distillation held near the data by BatchNorm statistics: the host loop of replay methods at small scale.

The loop is that of DFAD (Fang, Song, Shen, Wang, Chen and Song, "Data-Free Adversarial Distillation", 2019,
arXiv:1912.11006; facts checked against VainF/Data-Free-Adversarial-Distillation): some student steps on the mean
absolute difference of logits, each on new images, then one step of the generator up that difference.

Differs from the paper: to the generator's loss is added DeepInversion's distance of BatchNorm statistics (R_bn),
without which the generator wanders among a few classes for thousands of steps; the student's optimiser, schedule and
clipping are the board's.
"""

from __future__ import annotations

from torch import nn
from torch.nn.functional import l1_loss

from bench import method
from bench.scenarios.datafree import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.adversary import Adversary
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.student import StudentTraining, targets


@method(family="datafree", scenario="datafree", access={"weights"}, paper="arXiv:1912.11006", year=2019)
def adv_bn(
    task: DataFreeTask,
    *,
    bn: Weight = 1.0,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """DFAD with BatchNorm statistics: distil on images that a generator makes to show where the student is wrong.

    Args:
        bn: weight of the distance of BatchNorm statistics in the generator's loss.
        student_steps: updates of the student for one of the generator.
        lr_g: learning rate of the generator's Adam.
        nz: length of the noise vector (paper: 256).
        ngf: width of the generator (paper: 64).
    """
    training = StudentTraining(task)
    with BatchNormStatistics(task.teacher) as statistics:
        adversary = Adversary(task, statistics, bn=bn, lr_g=lr_g, nz=nz, ngf=ngf)
        while training.left:
            for _ in range(min(student_steps, training.left)):
                x = adversary.images(task.batch_size)
                with task.compute.autocast():
                    loss = l1_loss(training.model(x), targets(task, x))
                training.update(loss)
            adversary.learn(training.model)
    return training.model
