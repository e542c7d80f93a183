"""DFAD: Data-Free Adversarial Distillation.

Fang, Song, Shen, Wang, Chen and Song, 2019, arXiv:1912.11006; facts checked against the authors' code
(VainF/Data-Free-Adversarial-Distillation, `DFAD_cifar.py`). Student and generator play against each other on the
mean absolute difference of the teacher's and the student's logits, whose slope, unlike that of a KL divergence, does
not vanish as the student comes near.

Differs from the paper: the student's optimiser, schedule, clipping and batch size are the board's; the generator's
learning rate stays constant, as in the authors' code by default. Nothing holds the generator near the data, so that
short budgets leave the student close to chance: `adv-bn` is this loop with BatchNorm statistics. On 1000 updates of
digits (validation images, one seed) it rises high and falls deep late: it ended at 11 % with the generator's rate at
1e-3, after a fall of 74 points; at 80 with 3e-4, after 10, but at 13 with 3e-4 and twice the width; at 31 with ten
updates a step of the generator, and at 31 with one.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from bench import method
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate
from methods.datafree.online import Online, Term, play
from methods.datafree.student import StudentTraining, targets


@method(family="datafree", scenario=("datafree", "poisoned"), access={"weights"}, paper="arXiv:1912.11006", year=2019)
def dfad(
    task: DataFreeTask,
    by: StudentTraining | None = None,
    extra: Term | None = None,
    *,
    student_steps: Count = 5,
    lr_g: Rate = 1e-3,
    nz: Count = 256,
    ngf: Count = 24,
) -> nn.Module:
    """DFAD: distil on images that a generator makes to show where the student's logits are wrong, and on nothing else.

    Args:
        by: a training of the student that another method brings along.
        extra: a further term of the generator's loss.
        student_steps: updates of the student, each on new images, for one of the generator.
        lr_g: learning rate of the generator's Adam.
        nz: length of the noise vector.
        ngf: width of the generator (paper: 64).
    """
    training = by or StudentTraining(task)

    def learn(x: Tensor) -> None:
        training.update(lambda: l1_loss(training.model(x), targets(task, x)), x)

    def loss(x: Tensor, t: Tensor, student: nn.Module) -> Tensor:
        value = -l1_loss(student(x), t)
        return value if extra is None else value + extra(x, t)

    online = Online(task, loss, lr_g=lr_g, nz=nz, ngf=ngf)
    return play(training, online, task, student_steps, learn)
