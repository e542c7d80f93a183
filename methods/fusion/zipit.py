"""ZipIt! Merging Models from Different Tasks without Training.

George Stoica, Daniel Bolya, Jakob Bjorner, Pratik Ramesh, Taylor Hearn and Judy Hoffman, ICLR 2024, arXiv:2305.03053.

Networks that have learnt different things need not have a counterpart for each of their units, but may have units that
double each other. So of all units of all parents together those are merged that do the most alike on some images,
whichever parents they are from, until as many are left as one network has. A layer writes the mean of what was merged
(M), the layers after it read a merged unit for each of its parts (U): its weight is sum_i M_i W_i U_i. Zipping may stop
on the way: the parents' own layers from there on read the shared trunk, and their logits are averaged.

Different from the paper and its code (gstoica27/ZipIt):
- the budget beta is looked at before a merge within a network and not after it, so that 0 allows none;
- the rules may forbid all merges that are left of three or more networks; then similarity alone decides;
- two units of which neither varies on the images count as alike, and merging takes exact means;
- a residual stream is seen at its end, as in the code, but the last one as the head reads it, pooled;
- all parents have a head over all classes. A class's logit is the mean over the parents that have seen the class, as
  for the `ensemble`; the paper joins heads of separate classes, or has heads that need no merging (CLIP's);
- alpha and beta were searched for on other class splits in the paper: 1e-4 and 0.075 for its CIFAR ResNets, zipped in
  13 of 20 layers (here `stop = "stage1"`). The defaults are those of the code's function.
As there, BatchNorm statistics are estimated anew: of the parents before they are looked at, and of the result.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.models.compositions import Ensemble
from bench.models.layers import HEAD
from bench.models.permutation import Axis, PermutationSpec
from bench.models.train import recalibrate
from bench.scenarios.fuse.scenario import FuseTask
from bench.types import Fraction
from methods.fusion.alignment import mix, read_by, reads
from methods.fusion.features import joint_moments
from methods.fusion.state import State, mean, parent_states, permutation_spec, result
from methods.fusion.zip_matching import zip_units

NOWHERE = "input"
"""Stopping there zips nothing."""


@method(family="fusion", scenario="fuse", access={"weights", "unlabeled"}, paper="arXiv:2305.03053", year=2024)
def zipit(task: FuseTask, *, stop: str | None = None, alpha: Fraction = 0.3, beta: Fraction = 0.125) -> nn.Module:
    """Merge the most alike units within and across networks; layers after `stop` stay each parent's own.

    Args:
        stop: the last group of units that is zipped (`stage1`, `conv3`, `hidden0`, ... of the network's permutation
            spec), with all groups before it and all that is written into it; "input" zips nothing. All, if unset.
        alpha: factor on the similarity of what has been merged; 0 forbids to merge it with more of the same networks.
        beta: share of all merges that may be within a network.
    """
    spec = permutation_spec(task.parents[0])
    seen = task.class_counts > 0
    groups = zipped_groups(spec, stop)
    if not groups:
        return Ensemble(task.parents, seen)
    states = parent_states(task)
    unmerge = _unmerge_matrices(task, spec, groups, alpha, beta)
    moved = [
        zipped(state, spec, {group: parts[parent] for group, parts in unmerge.items()})
        for parent, state in enumerate(states)
    ]
    trunk = trunk_entries(spec, groups)
    shared = mean(moved)
    networks = [result(task, own | {name: shared[name] for name in trunk}) for own in moved]
    fused: nn.Module = Ensemble(networks, seen)
    if groups == set(spec.order):
        fused = result(task, shared | _joined_heads(moved, fused.get_buffer("weights")))
    else:
        share_modules(networks, trunk)
    recalibrate(fused, task.unlabeled, task.compute)
    return fused


def zipped_groups(spec: PermutationSpec, stop: str | None) -> set[str]:
    """The groups up to `stop`, and those that layers read which write to them: streams end where they end.

    Raises:
        Skip: there is no such group, or one has units of several entries, as attention heads.
    """
    if stop is None:
        chosen = set(spec.order)
    elif stop == NOWHERE:
        return set()
    elif stop in spec.order:
        chosen = set(spec.order[: spec.order.index(stop) + 1])
    else:
        raise Skip(f"there is no group {stop!r} to stop at; there are {', '.join((NOWHERE, *spec.order))}")
    while more := {read.group for out, read in _layers(spec) if out.group in chosen} - chosen:
        chosen |= more
    if any(axis.block > 1 for axes in spec.axes.values() for axis in axes if axis is not None and axis.group in chosen):
        raise Skip("attention heads cannot be zipped: what is merged within a head is no mean of attentions")
    return chosen


def zipped(state: State, spec: PermutationSpec, unmerge: Mapping[str, tuple[Tensor, Tensor]]) -> State:
    """One parent's part in the zipped network: the mean of the parts is the network.

    Args:
        state: the parent's.
        spec: its groups.
        unmerge: group -> U_i [d, d], and M_i^T times the number of parents [d, d].
    """
    moved = dict(state)
    for name, axes in spec.axes.items():
        for dim, axis in enumerate(axes):
            if axis is not None and axis.group in unmerge:
                read, written = unmerge[axis.group]
                moved[name] = mix(moved[name], dim, axis, read if reads(spec, name, dim) else written)
    return moved


def trunk_entries(spec: PermutationSpec, groups: Collection[str]) -> set[str]:
    """The entries that all parents share: what writes to zipped groups, and modules that have to do with no group."""
    written = {
        name: {axis.group for dim, axis in enumerate(axes) if axis is not None and not reads(spec, name, dim)}
        for name, axes in spec.axes.items()
    }
    touched = {name.rpartition(".")[0] for name, axes in spec.axes.items() if any(axes)}
    free = {name for name in spec.axes if name.rpartition(".")[0] not in touched}
    return free | {name for name, out in written.items() if out and out <= set(groups)}


def share_modules(networks: Sequence[nn.Module], entries: Collection[str]) -> None:
    """Put the first network's modules in the place of the others' where all that they hold is among `entries`."""
    first, *others = networks
    for path, module in list(first.named_modules()):
        held = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        own = {f"{path}.{name}" for name, tensor in held.items() if tensor.is_floating_point()}
        if own and own <= set(entries):
            for other in others:
                other.set_submodule(path, module)


def _unmerge_matrices(
    task: FuseTask, spec: PermutationSpec, groups: set[str], alpha: float, beta: float
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Group -> per parent U_i, and M_i^T times the number of parents."""
    parents = [copy.deepcopy(parent) for parent in task.parents]
    for parent in parents:
        recalibrate(parent, task.unlabeled, task.compute)
    moments = joint_moments(parents, task.unlabeled, spec, "post-activation", task.device)
    found = {}
    for done, group in enumerate((group for group in spec.order if group in groups), 1):
        unmerge = zip_units(moments[group][0].correlation, len(parents), alpha, beta)
        merge = len(parents) * unmerge / unmerge.sum(0)
        units = len(unmerge) // len(parents)
        found[group] = list(zip(unmerge.split(units), merge.split(units), strict=True))
        task.progress(done, len(groups))
    return found


def _joined_heads(moved: Sequence[State], weights: Tensor) -> State:
    """Entries of the head: per class the mean over the parents that have seen it.

    Args:
        moved: the parents' parts.
        weights: of parents in a class's logit, [parents, classes].
    """
    heads = torch.stack([w.double() for w in weights])
    names = [name for name in moved[0] if name.startswith(HEAD)]
    return {
        name: sum(w.view(-1, *(1,) * (part[name].ndim - 1)) * part[name] for w, part in zip(heads, moved, strict=True))
        for name in names
    }


def _layers(spec: PermutationSpec) -> list[tuple[Axis, Axis]]:
    """(written, read) of every layer that does both."""
    pairs = [(axes[0], read_by(spec, name)) for name, axes in spec.axes.items()]
    return [(out, read) for out, read in pairs if out is not None and read is not None]
