"""Train a network whose tensors are maps of a teacher's, and fold the maps away."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench.models.train import fit
from bench.scenarios.squeeze import SqueezeTask
from methods.distillation.losses import soft_and_hard_labels
from methods.squeezing.mapping import MakeGate, MakeMap, attach, fold


def train_maps(
    task: SqueezeTask,
    model: nn.Module,
    make_map: MakeMap,
    make_gate: MakeGate | None,
    *,
    kd_weight: float,
    temperature: float,
) -> nn.Module:
    """Train maps into the shape of a model by the task's recipe.

    Weight decay is off: it would pull L and R, and not their product, towards zero.

    Args:
        task: gives teacher, images, labels and recipe.
        model: of the student's shape. It is the network that is trained, and is left in pieces.
        make_map: initial matrices.
        make_gate: initial gates; without it the model's own mapped tensors are dropped.
        kd_weight: share of the softened outputs of the teacher in the loss; with 0 the teacher is not asked.
        temperature: of the softening.

    Returns:
        A plain network, the maps folded into its weights.
    """
    plain = copy.deepcopy(model)
    trained = attach(model, task.teacher, make_map, make_gate)
    recipe = task.recipe.model_copy(update={"weight_decay": 0.0})
    objective = soft_and_hard_labels(task.teacher, recipe, 1 - kd_weight, temperature)

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        with parametrize.cached():  # every mapped tensor is computed once a step, however often it is looked at
            return objective(model, x, y, index)

    fit(
        model,
        task.inputs,
        task.labels,
        recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        parameters=trained,
        progress=task.progress,
    )
    fold(model, plain)
    return plain
