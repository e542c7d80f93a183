"""Boundary unlearning: move the forgotten rows over the decision boundary, with no retained row at hand.

Min Chen, Weizhuo Gao, Gaoyang Liu, Kai Peng and Chen Wang, "Boundary Unlearning: Rapid Forgetting of Deep Networks via
Shifting the Decision Boundary", CVPR 2023, arXiv:2303.11570; steps and attack as in their code
(TY-LEE-KR/Boundary-Unlearning-Code).

The paper forgets whole classes. SalUn's tables (arXiv:2310.12508) have both methods on random requests as well, and
nothing in them needs a class, so they are not refused there.

Done otherwise: BatchNorm keeps its statistics (in the code it re-estimates them on batches of the forgotten class
alone, which spoils them for all others); a row that the attack does not drive out of its class gets the class that
comes second there (in the code it is trained on its own label); labels are smoothed, and after the attack images
augmented, as in training. Epochs are the code's. Its rate, 1e-5, does nothing to a small network in a few steps: that
of either method was chosen on the validation split of the digits (1e-5 to 1e-2), over a class and a tenth of the rows.
The class alone would have borne thrice as much.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.device import as_input, kind_of
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Share
from methods.unlearning.batches import epoch, number_of_batches
from methods.unlearning.head import linear_head

MOMENTUM = 0.9


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "forget_labels"},
    paper="arXiv:2303.11570",
    year=2023,
    in_place=True,
)
def boundary_shrink(
    task: UnlearnTask, *, epochs: Count = 10, lr: Rate = 1e-4, batch_size: Count = 64, bound: Share = 0.1
) -> nn.Module:
    """Train forgotten rows on the nearest other class: the one that a single attack step leads to.

    Args:
        epochs: passes over the forgotten rows.
        lr: of SGD with momentum 0.9.
        batch_size: forgotten rows a step, at most.
        bound: how far the attack moves each pixel, of a range of 1.

    Raises:
        Skip: the inputs are no images, or the model's answer has no gradient in them.
    """
    if (held := kind_of(task.forget_inputs)) != "images":
        raise Skip(f"boundary shrinking attacks pixels, and these inputs are {held}")
    labels = nearest_classes(task.model.eval(), task.forget_inputs, task.forget_labels, bound)
    train_forgotten(task, labels, epochs, lr, batch_size)
    return task.model


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "forget"},
    paper="arXiv:2303.11570",
    year=2023,
    in_place=True,
)
def boundary_expand(task: UnlearnTask, *, epochs: Count = 10, lr: Rate = 1e-4, batch_size: Count = 64) -> nn.Module:
    """Train forgotten rows on a class that does not exist, then take that class away.

    Args:
        epochs: passes over the forgotten rows.
        lr: of SGD with momentum 0.9.
        batch_size: forgotten rows a step, at most.
    """
    task.model.head = widened(linear_head(task.model), task.generator)
    shadow = torch.full((len(task.forget_inputs),), task.num_classes)
    train_forgotten(task, shadow, epochs, lr, batch_size)
    task.model.head = narrowed(linear_head(task.model))
    return task.model


def nearest_classes(model: nn.Module, images: Tensor, labels: Tensor, bound: float) -> Tensor:
    """The likeliest class but their own of uint8 images [N, C, H, W] after an attack by the sign of the gradient.

    Pixels move by `bound` away from their label, int64 [N], and stay images: in [0, 1], in steps of 1/255. Raises Skip
    where there is no gradient to move along.
    """
    device = next(model.parameters()).device
    found = []
    for batch, own in zip(images.split(500), labels.to(device).split(500), strict=True):
        x = as_input(batch.to(device)).requires_grad_()
        loss = nn.functional.cross_entropy(model(x), own, reduction="sum")
        (slope,) = torch.autograd.grad(loss, x, allow_unused=True)
        if slope is None:
            raise Skip("boundary shrinking attacks pixels: the answer of this model has no gradient in its input")
        moved = ((x.detach() + bound * slope.sign()).clamp(0, 1) * 255).round() / 255
        with torch.no_grad():
            found.append(model(moved).scatter(1, own[:, None], -math.inf).argmax(1))
    return torch.cat(found)


def train_forgotten(task: UnlearnTask, labels: Tensor, epochs: int, lr: float, batch_size: int) -> None:
    """Descend cross-entropy of the forgotten rows on labels, int64 [F], in place; BatchNorm in eval mode."""
    model, labels = task.model.eval(), labels.to(task.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)
    augmentation, smoothing = task.recipe.augment, task.recipe.label_smoothing
    steps, done = epochs * number_of_batches(len(task.forget_inputs), batch_size), 0
    for _ in range(epochs):
        for x, rows in epoch(task.forget_inputs, batch_size, augmentation, task.generator, task.device):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(model(x), labels[rows], label_smoothing=smoothing).backward()
            optimizer.step()
            done += 1
            task.progress(done, steps)


@torch.no_grad()
def widened(head: nn.Linear, generator: torch.Generator) -> nn.Linear:
    """The same layer with one output more, its weights drawn by Xavier's rule and its bias 0."""
    classes, features = head.weight.shape
    wide = nn.Linear(features, classes + 1).to(head.weight)
    extra = torch.randn(1, features, generator=generator) * math.sqrt(2 / (features + classes + 1))
    wide.weight.copy_(torch.cat([head.weight, extra.to(head.weight)]))
    wide.bias.copy_(torch.cat([head.bias, head.bias.new_zeros(1)]))
    return wide


@torch.no_grad()
def narrowed(head: nn.Linear) -> nn.Linear:
    """The same layer without its last output."""
    classes, features = head.weight.shape
    narrow = nn.Linear(features, classes - 1).to(head.weight)
    narrow.weight.copy_(head.weight[:-1])
    narrow.bias.copy_(head.bias[:-1])
    return narrow
