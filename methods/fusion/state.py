"""What every fusion does around its own idea: read the parents' weights, combine entries, build the result."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bench import Skip
from bench.models.permutation import PermutationSpec
from bench.scenarios.fuse import FuseTask
from bench.scenarios.merge import MergeTask

State = dict[str, Tensor]
"""Name in `state_dict()` -> float64 tensor. Only what is averaged: parameters and float buffers."""

HEAD = "head."


def parent_states(task: FuseTask | MergeTask) -> list[State]:
    """Everything of every parent that a result may be made of, in float64.

    In `merge` heads belong to their tasks and are left out; integer buffers are never averaged and are left out too.

    Raises:
        Skip: the parents have entries of different names or shapes.
    """
    states = [float_state(parent) for parent in task.parents]
    if isinstance(task, MergeTask):
        states = [{name: w for name, w in state.items() if not name.startswith(HEAD)} for state in states]
    for number, state in enumerate(states):
        for name in state.keys() | states[0].keys():
            if name not in state or name not in states[0] or state[name].shape != states[0][name].shape:
                raise Skip(f"parents 0 and {number} are not of one architecture: they differ at {name}")
    return states


def float_state(model: nn.Module) -> State:
    """All floating-point entries of a model's state, in float64."""
    return {name: w.double() for name, w in own_state(model).items()}


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
    model = result(task, states[-1])
    if isinstance(task, FuseTask) and len(states) == 2:
        task.path.between(task.parents[0], model)  # it keeps a copy
    own = _tensors(model)
    with torch.no_grad():
        for name, value in _means(states, weights):
            own[name].copy_(value)
    return model


def result(task: FuseTask | MergeTask, state: Mapping[str, Tensor]) -> nn.Module:
    """A network with these entries; whatever else it has (integer buffers, in `merge` the head) is copied.

    In `fuse` it is copied from the first parent, in `merge` from the initialisation.
    """
    template = task.init if isinstance(task, MergeTask) else task.parents[0]
    own = _tensors(template)
    made: dict[int, Tensor] = {}  # what deepcopy puts in a tensor's place, instead of a copy to be overwritten
    for name, value in state.items():
        new = torch.empty_like(own[name], requires_grad=False).copy_(value.detach())
        is_parameter = isinstance(own[name], nn.Parameter)
        made[id(own[name])] = nn.Parameter(new, own[name].requires_grad) if is_parameter else new
    return copy.deepcopy(template, made)


def mean(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None = None) -> State:
    """Entry by entry sum_i w_i state_i; w_i = 1 / n, if unset.

    Equal entries come out unchanged: exactly, if they are float32 values held in float64.
    """
    return dict(_means(states, weights))


def _means(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float] | None) -> Iterator[tuple[str, Tensor]]:
    """One entry after the other, so that who puts them away at once holds one of them in float64.

    Of two entries of one precision the mean stays in it: half their sum is rounded once, as it would be at the end.
    """
    shares = [1.0] * len(states) if weights is None else weights
    for name, first in states[0].items():
        if weights is None and len(states) == 2 and first.dtype == states[1][name].dtype:
            yield name, (first + states[1][name]).div_(2)
            continue
        total = first.to(torch.float64, copy=True).mul_(shares[0])
        for state, share in zip(states[1:], shares[1:], strict=True):
            total.add_(state[name], alpha=share)
        yield name, total if weights is not None else total.div_(len(states))


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
