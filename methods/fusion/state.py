"""What every fusion does around its own idea: read the parents' weights, combine entries, build the result."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bench import Skip
from bench.models.layers import HEAD
from bench.models.permutation import PermutationSpec
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask

State = dict[str, Tensor]
"""Name in `state_dict()` -> tensor. Only what is averaged: parameters and float buffers."""


def parent_states(task: FuseTask | MergeTask) -> list[State]:
    """`parent_entries` in float64."""
    return [{name: w.double() for name, w in state.items()} for state in parent_entries(task)]


def parent_entries(task: FuseTask | MergeTask) -> list[State]:
    """Everything of every parent that a result may be made of: the parents' own tensors, not to be changed.

    In `merge` heads belong to their tasks and are left out; integer buffers are never averaged and are left out too.

    Raises:
        Skip: the parents have entries of different names or shapes.
    """
    states = [own_state(parent) for parent in task.parents]
    if isinstance(task, MergeTask):
        states = [{name: w for name, w in state.items() if not name.startswith(HEAD)} for state in states]
    for number, state in enumerate(states):
        for name in state.keys() | states[0].keys():
            if name not in state or name not in states[0] or state[name].shape != states[0][name].shape:
                raise Skip(f"parents 0 and {number} are not of one architecture: they differ at {name}")
    return states


def own_state(model: nn.Module) -> State:
    """All floating-point entries of a model's state, as they are: the model's own tensors, not to be changed."""
    return {name: w.detach() for name, w in model.state_dict().items() if w.is_floating_point()}


def averaged(
    task: FuseTask | MergeTask, states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None
) -> nn.Module:
    """The network of mean entries; of two aligned parents the harness is told the line on which it lies.

    Args:
        task: of the parents.
        states: the first parent's entries, and those of the others, aligned to it.
        weights: of the states, as for `mean`.
    """
    if isinstance(task, FuseTask) and len(states) == 2:
        task.path.between(task.parents[0], lambda: result(task, states[1]))
    return _built(task, _means(states, weights))


def result(task: FuseTask | MergeTask, state: Mapping[str, Tensor]) -> nn.Module:
    """A network with these entries; whatever else it has (integer buffers, in `merge` the head) is copied.

    In `fuse` it is copied from the first parent, in `merge` from the initialisation.
    """
    return _built(task, ((name, value.detach().clone()) for name, value in state.items()))


def _built(task: FuseTask | MergeTask, entries: Iterable[tuple[str, Tensor]]) -> nn.Module:
    """`result` of entries that are its to keep."""
    template = task.init if isinstance(task, MergeTask) else task.parents[0]
    own = _tensors(template)
    made: dict[int, Tensor] = {}  # what deepcopy puts in a tensor's place, instead of a copy to be overwritten
    for name, value in entries:
        old = own[name]
        fits = value.dtype == old.dtype and value.device == old.device and value.stride() == old.stride()
        new = value if fits else torch.empty_like(old, requires_grad=False).copy_(value)
        made[id(old)] = nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new
    return copy.deepcopy(template, made)


def mean(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> State:
    """Entry by entry sum_i w_i state_i; w_i = 1 / n, if unset.

    The plain mean is of the entries' precision, the weighted one in float64. Equal entries come out of the plain mean
    unchanged, and of the weighted one if they are float32 values.
    """
    return dict(_means(states, weights))


def _means(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None) -> Iterator[tuple[str, Tensor]]:
    """One entry after the other, as new tensors."""
    for name, first in states[0].items():
        entries = [state[name] for state in states]
        if weights is None and len({entry.dtype for entry in entries}) == 1:
            yield name, _plain_mean(entries)
            continue
        shares = [1 / len(states)] * len(states) if weights is None else weights
        total = first.to(torch.float64, copy=True).mul_(shares[0])
        for entry, share in zip(entries[1:], shares[1:], strict=True):
            total.add_(entry, alpha=share)
        yield name, total


def _plain_mean(entries: Sequence[Tensor]) -> Tensor:
    """Summed in pairs, which is exact for equal entries if there are 2, 4, 8 ...; in float64 if there are not."""
    count = len(entries)
    if count == 1:
        return entries[0].clone()
    if count.bit_count() == 1:
        return _sum_in_pairs(entries).div_(count)
    return _sum_in_pairs([entry.double() for entry in entries]).div_(count).to(entries[0].dtype)


def _sum_in_pairs(entries: Sequence[Tensor]) -> Tensor:
    if len(entries) == 1:
        return entries[0]
    half = len(entries) // 2
    return _sum_in_pairs(entries[:half]) + _sum_in_pairs(entries[half:])


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, themselves and not copies."""
    own: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    return own | dict(model.named_buffers(remove_duplicate=False))


def permutation_spec(model: nn.Module) -> PermutationSpec:
    """Which units of the model may be reordered.

    Raises:
        Skip: an architecture of the user's own that does not say so.
    """
    spec = getattr(model, "permutation_spec", None)
    if spec is None:
        raise Skip(f"{type(model).__name__} has no permutation_spec(), which names the units that may be reordered")
    return spec()
