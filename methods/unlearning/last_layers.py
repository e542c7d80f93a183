"""CF-k and EU-k: forget in the last k layers only, by training them on or by training them anew.

Shashwat Goel, Ameya Prabhu, Amartya Sanyal, Ser-Nam Lim, Philip Torr and Ponnurangam Kumaraguru, "Towards Adversarial
Evaluations for Inexact Machine Unlearning", 2022, arXiv:2201.06640. CF-k ("catastrophic forgetting") trains the last k
layers on, without the rows to be forgotten; EU-k ("exact unlearning") gives them fresh values and trains them like
the original was trained. The layers below stay the original's, which has seen the rows.

Differs from the papers: the classifier is one of the k layers (in the code of SCRUB, Kurmanji et al., NeurIPS 2023,
arXiv:2302.09880, which trains the last stage of a ResNet, it stays frozen); fresh values are not those that the
original began with; of CF-k the rate falls linearly to 0 and is a small network's (SCRUB's code: 0.01, 10 epochs).

A layer is a module with a matrix or kernel, and the norms that come after it, in the order in which an image passes
them; a shortcut's convolution counts as one. Frozen layers stay in eval mode: their BatchNorm statistics do not move.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.device import as_input
from bench.models.train import Loss, cross_entropy, fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.types import Count, Rate
from methods.unlearning.finetune import tuning_recipe


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels"},
    paper="arXiv:2201.06640",
    year=2022,
    in_place=True,
)
def cf_k(task: UnlearnTask, *, k: Count = 4, epochs: Count = 6, lr: Rate = 0.1) -> nn.Module:
    """Go on training the last k layers on the retained rows.

    Args:
        k: layers, from the classifier down; all of them is `finetune`, to the last bit. 4 is the last stage of a
            ResNet-8 and its classifier.
        epochs: passes over the retained rows.
        lr: the learning rate at the start.
    """
    train_modules(task, task.model, last(task.model, k, task), tuning_recipe(task.recipe, epochs, lr))
    return task.model


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "init", "retain_labels"},
    paper="arXiv:2201.06640",
    year=2022,
)
def eu_k(task: UnlearnTask, *, k: Count = 4) -> nn.Module:
    """Train the last k layers anew on the retained rows, by the original's whole recipe.

    Args:
        k: layers, from the classifier down; all of them is `retrain`, to the last bit. 4 is the last stage of a
            ResNet-8 and its classifier.
    """
    fresh = last(task.student, k, task)
    keep_the_rest(task.student, fresh, task.model)
    train_modules(task, task.student, fresh, task.recipe)
    return task.student


def layers(model: nn.Module, x: Tensor) -> list[list[nn.Module]]:
    """Modules that hold weights or statistics, as layers in the order in which `x` passes them, what `as_input` gives.

    What comes before the first matrix or kernel, such as a normalisation of pixels, is in none. The model ends in eval
    mode.
    """
    passed: dict[nn.Module, None] = {}
    hooks = [
        module.register_forward_hook(lambda module, args, output: passed.setdefault(module))  # noqa: ARG005
        for module in holders(model)
    ]
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()
    groups: list[list[nn.Module]] = []
    for module in passed:
        if any(p.ndim >= 2 for p in module.parameters()):
            groups.append([module])
        elif groups:
            groups[-1].append(module)
    return groups


def holders(model: nn.Module) -> list[nn.Module]:
    """Modules without children that hold parameters or buffers."""
    return [module for module in model.modules() if not list(module.children()) and module.state_dict()]


def last(model: nn.Module, k: int, task: UnlearnTask) -> set[nn.Module]:
    """Modules of the last k layers; of all layers, every module, so that no parameter is left out."""
    groups = layers(model, as_input(task.retain_inputs[:1].to(task.device)))
    if k >= len(groups):
        return set(model.modules())
    return {module for group in groups[-k:] for module in group}


def keep_the_rest(model: nn.Module, fresh: set[nn.Module], original: nn.Module) -> None:
    """Load the original's parameters and buffers into a model of the same architecture, but into `fresh` modules."""
    skipped = {name for name, module in model.named_modules() if module in fresh}
    mine, given = model.state_dict(), original.state_dict()
    model.load_state_dict({key: (mine if key.rpartition(".")[0] in skipped else given)[key] for key in given})


def train_modules(task: UnlearnTask, model: nn.Module, trained: set[nn.Module], recipe: Recipe) -> None:
    """Train some modules of a model on the retained rows, the others in eval mode and without gradients."""
    rest = [module for module in holders(model) if module not in trained]
    free = {p for module in trained for p in module.parameters(recurse=False)}
    for p in model.parameters():
        p.requires_grad_(p in free)
    fit(
        model,
        task.retain_inputs,
        task.retain_labels,
        recipe,
        generator=task.generator,
        device=task.compute,
        loss=with_frozen(rest, cross_entropy(recipe.label_smoothing)),
        progress=task.progress,
    )
    model.requires_grad_(True)


def with_frozen(modules: list[nn.Module], loss: Loss) -> Loss:
    """The same loss, with these modules in eval mode."""

    def frozen(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        for module in modules:
            module.eval()
        return loss(model, x, y, index)

    return frozen
