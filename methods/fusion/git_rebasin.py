"""Git Re-Basin: Merging Models modulo Permutation Symmetries. Weight matching.

Samuel K. Ainsworth, Jonathan Hayase and Siddhartha Srinivasa, ICLR 2023, arXiv:2209.04836.

The units of B are permuted so that its weights have the largest inner product with A's: one group of units after the
other, each by an assignment problem with the others held still, until no group gains. Then the weights are averaged.

Different from the paper: the search is repeated from several random orders and the best objective is kept; with more
than two parents, all others are matched to the first. The paper's ResNets have LayerNorm; here BatchNorm's running
statistics follow their channels (and the scenario re-estimates them for every row).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import torch
from torch import Tensor, nn

from bench import method
from bench.models.permutation import PermutationSpec, expand, permute, sizes
from bench.scenarios.fuse.scenario import FuseTask
from bench.types import Count
from methods.fusion.state import State, averaged, parent_states, permutation_spec

Permutations = dict[str, Tensor]
"""Group -> int64 [units]: unit i of the result is unit perm[i] of B."""

MOST_SWEEPS = 100
GAIN = 1e-12
"""Smaller gains, relative to the objective, are rounding."""


@method(family="fusion", scenario="fuse", access={"weights"}, paper="arXiv:2209.04836", year=2023)
def git_rebasin(task: FuseTask, *, restarts: Count = 3) -> nn.Module:
    """Permute units to bring the weights as near as they come (weight matching), then average.

    Args:
        restarts: random orders of the search, of which the best result counts.
    """
    return averaged(task, by_weights(task, restarts))


def by_weights(task: FuseTask, restarts: int) -> list[State]:
    """The first parent as it is, and the others with their units permuted: the best of several orders of search."""
    spec = permutation_spec(task.parents[0])
    anchor, *others = parent_states(task)
    weights = [name for name, _ in task.parents[0].named_parameters()]
    matched = []
    for number, other in enumerate(others):
        tries = []
        for attempt in range(restarts):
            perms = weight_matching(anchor, other, spec, weights, task.generator)
            tries.append(permute(other, spec, perms))
            task.progress(number * restarts + attempt + 1, len(others) * restarts)
        matched.append(max(tries, key=lambda state: objective(anchor, state, weights)))
    return [anchor, *matched]


def weight_matching(
    a: State, b: State, spec: PermutationSpec, weights: Collection[str], generator: torch.Generator
) -> Permutations:
    """A local maximum of `objective(a, permute(b, spec, perms), weights)` over permutations.

    Args:
        a: what is matched to.
        b: what is permuted.
        spec: groups of both.
        weights: the entries that count: parameters, and not running statistics.
        generator: of the order in which groups are visited, drawn anew for every sweep.
    """
    for perms, _ in ascent(a, b, spec, weights, generator):
        final = perms
    return final


def ascent(
    a: State, b: State, spec: PermutationSpec, weights: Collection[str], generator: torch.Generator
) -> Iterator[tuple[Permutations, float]]:
    """The permutations before the search and after each change, with what the change gained."""
    perms = {group: torch.arange(n) for group, n in sizes(spec, b).items()}
    yield dict(perms), 0.0
    for _ in range(MOST_SWEEPS):
        improved = False
        for index in torch.randperm(len(spec.order), generator=generator).tolist():
            group = spec.order[index]
            similarity = _similarity(a, b, spec, weights, perms, group)
            units = torch.arange(len(similarity))
            best = _assignment(similarity)
            before, after = (float(similarity[units, perm].sum()) for perm in (perms[group], best))
            if after - before > GAIN * max(1.0, abs(before)):
                perms[group] = best
                improved = True
                yield dict(perms), after - before
        if not improved:
            return


def objective(a: State, b: Mapping[str, Tensor], weights: Collection[str]) -> float:
    """Sum over tensors of <W_A, W_B>."""
    return sum(float((a[name] * b[name]).sum()) for name in weights)


def _similarity(
    a: State, b: State, spec: PermutationSpec, weights: Collection[str], perms: Permutations, group: str
) -> Tensor:
    """[n, n] on the CPU: what the objective gains if unit i of A meets unit j of B, the other groups staying put."""
    total: Tensor | None = None
    for name in weights:
        for dim, axis in enumerate(spec.axes.get(name, ())):
            if axis is None or axis.group != group:
                continue
            moved = b[name]
            for other, along in enumerate(spec.axes[name]):
                if along is not None and other != dim:
                    moved = moved.index_select(other, expand(perms[along.group], along.block).to(moved.device))
            x, y = (w.movedim(dim, 0).reshape(w.shape[dim] // axis.block, -1) for w in (a[name], moved))
            total = x @ y.T if total is None else total + x @ y.T
    assert total is not None, f"group {group!r} has no weights"
    return total.cpu()


def _assignment(similarity: Tensor) -> Tensor:
    """The permutation of the columns [n] with the largest sum of similarities."""
    from scipy.optimize import linear_sum_assignment

    return torch.from_numpy(linear_sum_assignment(similarity.numpy(), maximize=True)[1])
