"""Gradient collision: dispose of a source task by turning the gradients of its mini-batches against each other.

Seunghee Koh, Hyounguk Shon, Janghyeon Lee, Hyeong Gwon Hong and Junmo Kim, "Disposable Transfer Learning for Selective
Source Task Unlearning", ICCV 2023, arXiv:2308.09971.

A reconstruction: only the abstract could be read, and no code was found. The abstract says that the loss leads the
gradient vectors of mini-batches in different directions; that it is the mean cosine over pairs (rather than an inner
product, which shrinking all gradients lowers as well), beside cross-entropy and distillation at a temperature of 2 on
the target, with the old source head kept as it is, are choices made here. Each part of a source batch passes the
network by itself, so that BatchNorm couples no two of them, and leaves no trace in running statistics.

Defaults are chosen on validation rows (CIFAR-10 at 16x16, source classes 0 to 5, target 6 to 9 with 1200 images,
ResNet-8 of width 8 with LayerNorm, one seed): of eight pairs of rate and weight the lowest piggyback accuracy that
costs the target at most two points. The steps are what fits into a minute. Little is disposed of then; a weight of 5
disposes of more, for five points of the target. On digits a perceptron bears a rate of 2e-2, a weight of 50 and 1500
steps.

ReLU networks have no curvature of their own almost everywhere: what the loss moves is how each layer's weights enter
the gradients of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from bench import method
from bench.scenarios.dispose.scenario import DisposeTask
from bench.types import Count, Rate, Weight
from methods.disposal.spoiling import Spoiling, UnderSourceHead, dispose


@method(
    family="disposal",
    scenario="dispose",
    access={"weights", "source", "target"},
    paper="arXiv:2308.09971",
    year=2023,
)
def gradient_collision(
    task: DisposeTask,
    *,
    steps: Count = 600,
    lr: Rate = 1e-2,
    weight: Weight = 1.0,
    chunks: Annotated[int, Ge(2)] = 4,
    chunk: Annotated[int, Ge(2)] = 8,
) -> nn.Module:
    """Keep the target, and turn the gradients of parts of a source batch against each other.

    Args:
        steps: updates.
        lr: Adam's learning rate at the start.
        weight: of the collision loss, which lies between -1 and 1.
        chunks: parts of a source batch, whose gradients are compared.
        chunk: source images a part.
    """
    return dispose(task, steps, lr, weight=weight, spoiling=collision(chunks), batch=chunks * chunk)


def collision(chunks: int) -> Spoiling:
    """L_GC of a batch of source images, cut into so many chunks, as even as can be."""

    def term(network: UnderSourceHead, x: Tensor, y: Tensor) -> Tensor:
        return mean_cosine(
            [
                chunk_gradient(network, *part)
                for part in zip(x.tensor_split(chunks), y.tensor_split(chunks), strict=True)
            ]
        )

    return term


def chunk_gradient(network: UnderSourceHead, x: Tensor, y: Tensor) -> Tensor:
    """Gradient [P] of the mean cross-entropy, itself differentiable, by a forward pass of the chunk's own."""
    weights = [p for name, p in network.named_parameters() if not name.startswith("backbone.head.")]
    value = nn.functional.cross_entropy(network.logits(x), y)
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, weights, create_graph=True)])


def mean_cosine(gradients: Sequence[Tensor]) -> Tensor:
    """Mean over all pairs i < j of the cosine between gradients i and j, each [P]; a zero gradient has cosine 0."""
    unit = nn.functional.normalize(torch.stack(list(gradients)), dim=1)
    cosines = unit @ unit.T
    n = len(unit)
    return cosines.triu(1).sum() / (n * (n - 1) / 2)
