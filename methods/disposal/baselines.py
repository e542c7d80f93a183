"""What gradient collision is held against: training on the target alone, and spoiling the source by its labels.

Seunghee Koh, Hyounguk Shon, Janghyeon Lee, Hyeong Gwon Hong and Junmo Kim, "Disposable Transfer Learning for Selective
Source Task Unlearning", ICCV 2023, arXiv:2308.09971, compares with such; reconstructed, as `gradient_collision` says.
All but `target-finetune` and `dispose-neggrad` keep the target in the same way as `gradient-collision` does, and differ
from it in the term on source images alone.

Defaults are chosen on validation rows as those of `gradient-collision`, steps and rate being the same for all. On
CIFAR-10 3e-3 gave `target-finetune` and `keep-target` a higher piggyback accuracy, and 2e-2 took 3.5 points of
the target from the former. The weights of 1 are as good as 10 on digits. `dispose-neggrad` loses the target before the
source: on digits 3.5 points from a rate of 3e-4 on, on CIFAR-10 five points at 3e-5.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.dispose.scenario import DisposeTask
from bench.types import Count, Rate, Weight
from methods.disposal.spoiling import UnderSourceHead, dispose
from methods.unlearning.finetune import by_adam, tuning_recipe
from methods.unlearning.neggrad import ascent

CLIP = 5.0
"""Cross-entropy in nats at which a source image is spoilt enough: it has no bound of its own."""


@method(family="disposal", scenario="dispose", access={"weights", "target"})
def target_finetune(task: DisposeTask, *, steps: Count = 600, lr: Rate = 1e-2) -> nn.Module:
    """Go on tuning to the target by its labels, and trust in catastrophic forgetting.

    Args:
        steps: updates.
        lr: Adam's learning rate at the start.
    """
    return dispose(task, steps, lr, distillation=0.0)


@method(family="disposal", scenario="dispose", access={"weights", "target"}, paper="arXiv:2308.09971", year=2023)
def keep_target(task: DisposeTask, *, steps: Count = 600, lr: Rate = 1e-2) -> nn.Module:
    """Labels and distillation on the target, and nothing about the source: what the other terms are added to.

    Args:
        steps: updates.
        lr: Adam's learning rate at the start.
    """
    return dispose(task, steps, lr)


@method(
    family="disposal", scenario="dispose", access={"weights", "source", "target"}, paper="arXiv:2308.09971", year=2023
)
def dispose_random_labels(
    task: DisposeTask, *, steps: Count = 600, lr: Rate = 1e-2, weight: Weight = 1.0, batch: Count = 32
) -> nn.Module:
    """Cross-entropy of source images with labels drawn anew each time from the source's classes.

    Args:
        steps: updates.
        lr: Adam's learning rate at the start.
        weight: of the term.
        batch: source images a step.
    """
    generator = torch.Generator().manual_seed(task.seed)

    def term(network: UnderSourceHead, x: Tensor, y: Tensor) -> Tensor:
        drawn = torch.randint(network.head.out_features, (len(y),), generator=generator).to(y.device)
        return nn.functional.cross_entropy(network.logits(x), drawn)

    return dispose(task, steps, lr, weight=weight, spoiling=term, batch=batch)


@method(
    family="disposal", scenario="dispose", access={"weights", "source", "target"}, paper="arXiv:2308.09971", year=2023
)
def dispose_uniform(
    task: DisposeTask, *, steps: Count = 600, lr: Rate = 1e-2, weight: Weight = 1.0, batch: Count = 32
) -> nn.Module:
    """Cross-entropy of source images to the uniform distribution over the source's classes.

    Args:
        steps: updates.
        lr: Adam's learning rate at the start.
        weight: of the term.
        batch: source images a step.
    """

    def term(network: UnderSourceHead, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG001
        return -network.logits(x).log_softmax(1).mean()

    return dispose(task, steps, lr, weight=weight, spoiling=term, batch=batch)


@method(
    family="disposal", scenario="dispose", access={"weights", "source", "target"}, paper="arXiv:2308.09971", year=2023
)
def dispose_ascent(
    task: DisposeTask, *, steps: Count = 600, lr: Rate = 1e-2, weight: Weight = 1.0, batch: Count = 32
) -> nn.Module:
    """NegGrad beside the target: minus the cross-entropy of source images, which counts up to `CLIP` nats a row.

    Args:
        steps: updates.
        lr: Adam's learning rate at the start.
        weight: of the term.
        batch: source images a step.
    """
    return dispose(task, steps, lr, weight=weight, spoiling=climb, batch=batch)


@method(family="disposal", scenario="dispose", access={"weights", "source"}, paper="arXiv:1911.04933", year=2020)
def dispose_neggrad(task: DisposeTask, *, steps: Count = 100, lr: Rate = 1e-4, batch: Count = 32) -> nn.Module:
    """NegGrad by itself: climb the cross-entropy of source images, up to `CLIP` nats a row; the target is never seen.

    Running statistics of BatchNorm stay the target's.

    Args:
        steps: updates, rounded to whole epochs of the source.
        lr: Adam's learning rate at the start.
        batch: source images a step.
    """
    student = copy.deepcopy(task.model)
    network = UnderSourceHead(student, task.source_head)
    size = min(batch, len(task.source_inputs))
    recipe = by_adam(tuning_recipe(task.recipe, max(1, round(steps / (len(task.source_inputs) // size))), lr))

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        return climb(network, x, y)

    fit(
        network,
        task.source_inputs,
        task.source_labels,
        recipe.model_copy(update={"batch_size": size}),
        generator=task.generator,
        device=task.compute,
        loss=loss,
        parameters=student.parameters(),
        progress=task.progress,
    )
    return student


def climb(network: UnderSourceHead, x: Tensor, y: Tensor) -> Tensor:
    """`ascent` of source images, up to `CLIP` nats."""
    return ascent(network.logits(x), y, CLIP)
