"""Bad Teacher: on the rows to be forgotten the student mimics an untrained network, on the others the original.

Vikram S. Chundawat, Ayush K. Tarun, Murari Mandal and Mohan Kankanhalli, "Can Bad Teaching Induce Forgetting?
Unlearning in Deep Networks Using an Incompetent Teacher", AAAI 2023, arXiv:2205.08096; loss as in their code
(vikram2000b/bad-teaching-unlearning), which divides by the number of classes too: to Adam that is all the same.

Differs from the paper: a small network needs more than their one pass at 1e-4 over the forgotten rows and 30 % of the
retained ones, so the defaults are more (as many as those of `amnesiac`); the rate falls linearly to 0, the batch is the
training recipe's (theirs: 256), and images are augmented as in training, the same for the student and both teachers.

No label is used. What to expect: forgotten rows get predictions of high entropy, unlike those of any row that was never
seen, so that attacks which ask for confidence are satisfied, and those that look for odd rows are not.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import Loss
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Share
from methods.distillation.losses import distillation_kl
from methods.unlearning.both import train_on_both
from methods.unlearning.finetune import EPOCHS, by_adam, tuning_recipe


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "init", "retain", "forget"},
    paper="arXiv:2205.08096",
    year=2023,
)
def bad_teacher(
    task: UnlearnTask, *, share: Share = 1.0, epochs: Count = EPOCHS, lr: Rate = 2e-3, temperature: Rate = 1.0
) -> nn.Module:
    """Learn from two teachers: an untrained network about the forgotten rows, the original about the others.

    Args:
        share: of the retained rows, drawn once, that are trained on beside the forgotten ones.
        epochs: passes over both.
        lr: Adam's learning rate at the start.
        temperature: of both teachers and the student.
    """
    drawn = torch.randperm(len(task.retain_inputs), generator=task.generator)
    retained = task.retain_inputs[drawn[: max(1, round(share * len(drawn)))]]
    good, bad = (network.requires_grad_(False).eval() for network in (task.model, task.student))
    student = copy.deepcopy(good).requires_grad_(True)
    train_on_both(
        task,
        student,
        by_adam(tuning_recipe(task.recipe, epochs, lr)),
        (retained, torch.zeros(len(retained), dtype=torch.int64)),
        (task.forget_inputs, torch.ones(len(task.forget_inputs), dtype=torch.int64)),
        two_teachers(good, bad, temperature),
    )
    return student


def two_teachers(good: nn.Module, bad: nn.Module, temperature: float) -> Loss:
    """T^2 times the mean of KL(p_teacher || p_student); the teacher of a row is `bad` where its label is 1."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        with torch.no_grad():
            target = torch.where((y == 1)[:, None], bad(x), good(x))
        return distillation_kl(model(x), target, temperature)

    return loss
