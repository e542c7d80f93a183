"""Editing Models with Task Arithmetic. Ilharco, Ribeiro, Wortsman, Gururangan, Schmidt, Hajishirzi, Farhadi.
ICLR 2023, arXiv:2212.04089.

The sum of the task vectors, scaled by one coefficient, is added to the initialisation. The paper chooses the
coefficient on validation data; here it is a number of the suite, 0.3 unless said (what the literature uses for eight
tasks). 1 / (number of tasks) is the plain average.
"""

from __future__ import annotations

from torch import nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Weight
from methods.merging.task_vectors import add, total_change


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2212.04089", year=2023)
def task_arithmetic(task: MergeTask, *, scaling: Weight = 0.3) -> nn.Module:
    """Initialisation plus `scaling` times the sum of the task vectors."""
    return add(task.init, total_change(task.init, task.parents), task.parents, scaling)
