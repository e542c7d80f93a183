"""DFQ's distillation: Data-Free Network Quantization with Adversarial Knowledge Distillation.

Choi, Choi, El-Khamy and Lee, CVPR Workshops 2020, arXiv:2005.04136. A generator shows where student and teacher
differ, while its images keep the teacher's BatchNorm statistics, are each classified with confidence, and spread
over the classes. In the form of the later harness of zju-vipa/CMI (`generative.py`, `scripts/dfq/`), with which other
papers compare: a round begins with the generator's step, in which the generator normalises by its batch and the student
is in eval mode; the student is shown what the generator makes in eval mode, by its running statistics.

Differs from the paper: nothing is quantised, the student is a smaller network; one generator and one student, where
the paper has several of each; as in CMI's harness, BatchNorm statistics are compared by norms of differences (the
paper: a divergence of Gaussians) and confidence is the cross-entropy with the teacher's own decision (the paper: an
entropy). Differs from CMI's harness: the student's optimiser, schedule, temperature and steps a round are the board's,
the generator is smaller. (The copy of that harness in Fast-Datafree puts the teacher in the student's place, so that
the adversarial term is zero, and leaves the generator in train mode throughout.)
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Weight
from methods.datafree.bn_statistics import BatchNormStatistics
from methods.datafree.losses import class_balance, one_hot
from methods.datafree.online import Online, Term
from methods.datafree.student import StudentTraining
from methods.distillation.losses import distillation_kl


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:2005.04136", year=2020)
def dfq(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    adv: Weight = 1.0,
    bn: Weight = 1.0,
    oh: Weight = 1.0,
    balance: Weight = 20.0,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 100,
    ngf: Count = 24,
) -> nn.Module:
    """DFQ: distil on images that set student and teacher apart, keep BatchNorm statistics, and balance sure classes.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        adv: weight of the divergence of student and teacher, which the generator seeks.
        bn: weight of the distance of BatchNorm statistics.
        oh: weight of the cross-entropy with the teacher's own decision.
        balance: weight of the balance of classes.
        student_steps: updates of the student, each on new images, for one of the generator (CMI's harness: 10).
        lr_g: learning rate of the generator's Adam.
        nz: length of the noise vector (CMI's harness: 256).
        ngf: width of the generator (CMI's harness: 64).
    """
    training = by or StudentTraining(task)
    with BatchNormStatistics(task.teacher) as statistics:

        def loss(x: Tensor, t: Tensor, student: nn.Module) -> Tensor:
            value = bn * statistics.distance() + oh * one_hot(t) + balance * class_balance(t)
            value = value - adv * distillation_kl(student(x), t, 1.0)
            return value if extra is None else value + extra(x, t)

        online = Online(task, loss, lr_g=lr_g, nz=nz, ngf=ngf, betas=(0.5, 0.999))
        while training.running:
            training.model.eval()
            online.generator.train()
            online.learn(training.model)
            training.model.train()
            online.generator.eval()
            for _ in training.up_to(student_steps):
                training.imitate(online.images(task.batch_size))
    return training.model
