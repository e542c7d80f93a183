"""Git Re-Basin: Merging Models modulo Permutation Symmetries. The straight-through estimator.

Samuel K. Ainsworth, Jonathan Hayase and Siddhartha Srinivasa, ICLR 2023, arXiv:2209.04836.

The permutation of B that makes the midpoint of A and B good at the task itself. A free network T, which starts as A, is
tuned by gradient descent; before every step B is matched to it (weight matching, the projection of T onto the
permutations of B), the loss is taken at the midpoint of A and that permuted B, and its gradient is handed to T as if T
stood in B's place. Of all permutations met on the way, the one with the lowest loss on its batch counts.

Different from the paper, which does that for networks with LayerNorm or without norms, 250 epochs long:
- BatchNorm normalises by the batch, at the midpoint, as it would after its statistics are re-estimated;
- fewer epochs, at the paper's rate: on small networks T may not get far enough from A to change many matches;
- with more than two parents, each of the others has a search of its own against the first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.func import functional_call

from bench import method
from bench.device import as_input
from bench.errors import BenchError
from bench.models.permutation import PermutationSpec, permute, sizes
from bench.scenarios.fuse.scenario import FuseTask
from bench.types import Count, Fraction, Rate
from methods.fusion.git_rebasin import Permutations, weight_matching
from methods.fusion.state import State, averaged, parent_states, permutation_spec

Batch = tuple[Tensor, Tensor]
"""uint8 [B, C, H, W] and int64 [B]."""


@method(family="fusion", scenario="fuse", access={"weights", "labels"}, paper="arXiv:2209.04836", year=2023)
def git_rebasin_ste(
    task: FuseTask,
    *,
    epochs: Count = 10,
    batch_size: Annotated[int, Ge(2)] = 500,
    lr: Rate = 0.01,
    momentum: Fraction = 0.9,
) -> nn.Module:
    """Learn the permutation whose midpoint has the lowest loss (straight-through estimator), then average.

    Args:
        epochs: passes over the labelled images.
        batch_size: images a step; the last of an epoch are left out, if they are fewer.
        lr: learning rate of plain gradient descent, with momentum.
        momentum: of it.
    """
    spec = permutation_spec(task.parents[0])
    anchor, *others = parent_states(task)
    batch = min(batch_size, len(task.inputs))
    steps = epochs * (len(task.inputs) // batch)
    matched = []
    for number, other in enumerate(others):
        best, lowest = identity(spec, other), math.inf
        batches = _batches(task.inputs, task.labels, epochs, batch, task.generator)
        search = permutations(anchor, other, spec, task.parents[0], batches, lr, momentum, task.generator)
        for step, (perms, loss) in enumerate(search, 1):
            if not math.isfinite(loss):
                raise BenchError(f"git-rebasin-ste: the loss is {loss} at step {step} of {steps}; lower lr = {lr}")
            if loss < lowest:
                best, lowest = perms, loss
            task.progress(number * steps + step, len(others) * steps)
        matched.append(permute(other, spec, best))
    return averaged(task, [anchor, *matched])


def permutations(
    a: State,
    b: State,
    spec: PermutationSpec,
    model: nn.Module,
    batches: Iterator[Batch],
    lr: float,
    momentum: float,
    generator: torch.Generator,
) -> Iterator[tuple[Permutations, float]]:
    """Per step, the permutations of B and the loss (nats) at the midpoint of A and the permuted B.

    Args:
        a: where the search starts, and the other end of the midpoint.
        b: what is permuted.
        spec: groups of both.
        model: of their architecture; left as it is.
        batches: one a step.
        lr: learning rate.
        momentum: of gradient descent.
        generator: of the order in which groups are visited.
    """
    weights = [name for name, _ in model.named_parameters()]
    free = {name: a[name].clone() for name in weights}
    speed = {name: torch.zeros_like(w) for name, w in free.items()}
    loss_at = midpoint_loss(model)
    perms = identity(spec, b)
    for images, labels in batches:
        perms = project(free, b, spec, perms, generator)
        moved = permute(b, spec, perms)
        loss, gradient = loss_at({name: (a[name] + moved[name]) / 2 for name in weights}, images, labels)
        yield perms, loss
        for name in weights:
            speed[name] = momentum * speed[name] + gradient[name] / 2  # T has half a share in the midpoint
            free[name] = free[name] - lr * speed[name]


def project(
    free: State, b: State, spec: PermutationSpec, start: Permutations, generator: torch.Generator
) -> Permutations:
    """The permutations that bring B nearest to a free network: weight matching, from `start` on.

    That is the projection: permutations leave the length of B as it is, so the largest product is the least distance.
    """
    found = weight_matching(free, permute(b, spec, start), spec, list(free), generator)
    return {group: start[group][found[group]] for group in spec.order}


def identity(spec: PermutationSpec, state: State) -> Permutations:
    """Every unit where it is."""
    return {group: torch.arange(n) for group, n in sizes(spec, state).items()}


def midpoint_loss(model: nn.Module) -> Callable[[State, Tensor, Tensor], tuple[float, State]]:
    """loss(weights, images, labels) -> mean cross-entropy of `model` with these weights, and its gradient in float64.

    BatchNorm normalises by the batch; the statistics it keeps of that go to waste.
    """
    shell = copy.deepcopy(model).train()
    own = dict(shell.named_parameters())

    def loss(weights: State, images: Tensor, labels: Tensor) -> tuple[float, State]:
        leaves = {name: weights[name].to(p).requires_grad_() for name, p in own.items()}
        device, dtype = next(iter(leaves.values())).device, next(iter(leaves.values())).dtype
        z = functional_call(shell, leaves, (as_input(images.to(device), dtype),))
        value = nn.functional.cross_entropy(z, labels.to(device))
        gradient = torch.autograd.grad(value, list(leaves.values()))
        return float(value.detach()), {name: g.double() for name, g in zip(leaves, gradient, strict=True)}

    return loss


def _batches(images: Tensor, labels: Tensor, epochs: int, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Whole batches in a new order every epoch."""
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)[: len(images) // size * size]
        for rows in order.split(size):
            yield images[rows], labels[rows]
