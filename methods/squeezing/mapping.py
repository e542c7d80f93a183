"""Student weights as learnt linear maps of a teacher's weights, kept as parametrizations of the student.

A tensor whose axes belong to permutation groups is W_s = L W_t R: every such axis k is multiplied by a matrix
M_k [s_k, t_k] from the teacher's length to the student's (so L = M_0 and R = M_1^T), and axes without a group (image
channels, classes, kernel positions, patches) stay as they are. Matrices of neighbouring layers are independent of each
other; a bias shares the L of its layer's weight. Norms, and tensors without any such axis, are trained as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench import Skip
from bench.models.permutation import Axis, PermutationSpec
from methods.squeezing.depth import matching_names


@dataclass(frozen=True)
class Pair:
    """A tensor of the student and the teacher's tensor that it comes from."""

    name: str
    source: str
    axes: tuple[Axis | None, ...]
    """Of the student's tensor."""
    source_axes: tuple[Axis | None, ...]


class LinearMap(nn.Module):
    """Parametrization of a tensor: the mapped teacher's tensor or, with a gate, its mixture with the student's own."""

    teacher: Tensor

    def __init__(self, teacher: Tensor, maps: dict[int, nn.Parameter], gate: nn.Parameter | None = None) -> None:
        super().__init__()
        self.register_buffer("teacher", teacher.detach().clone())
        self.maps = nn.ParameterDict({str(axis): matrix for axis, matrix in maps.items()})
        self.gate = gate

    def mapped(self) -> Tensor:
        """L W_t R."""
        return apply_maps(self.teacher, {int(axis): matrix for axis, matrix in self.maps.items()})

    def forward(self, own: Tensor) -> Tensor:
        """The tensor that the layer uses; `own` is what the layer itself holds."""
        if self.gate is None:
            return self.mapped()
        g = torch.sigmoid(self.gate)
        return g * self.mapped() + (1 - g) * own


MakeMap = Callable[[Pair, int, int, int], Tensor]
"""make(pair, axis, s, t): the initial matrix [s, t] of an axis, from t entries of the teacher to s of the student."""
MakeGate = Callable[[Tensor], Tensor]
"""make(own): the initial gate logit of a tensor, a scalar or of its shape."""


def apply_maps(tensor: Tensor, maps: dict[int, Tensor]) -> Tensor:
    """Multiply axis k by maps[k] [s_k, t_k]: t_k entries become s_k."""
    for axis, matrix in maps.items():
        tensor = torch.tensordot(matrix, tensor, dims=([1], [axis])).movedim(0, axis)
    return tensor.contiguous()


def pairs(student: nn.Module, teacher: nn.Module) -> list[Pair]:
    """The student's parameters and float buffers, each with its source in the teacher.

    Raises:
        Skip: a network names no permutation groups, or no linear map joins the two.
    """
    own, other = groups(student), groups(teacher)
    sizes, teacher_sizes = (_shapes(model) for model in (student, teacher))
    found = []
    for name, source in matching_names(own, other).items():
        pair = Pair(name, source, own.axes[name], other.axes[source])
        for axis, (s, t) in enumerate(zip(sizes[name], teacher_sizes[source], strict=True)):
            if pair.axes[axis] is None and s != t:
                raise Skip(
                    f"{name} has {s} entries on axis {axis} and the teacher's {source} has {t}; no map joins them"
                )
        found.append(pair)
    return found


def groups(model: nn.Module) -> PermutationSpec:
    """The permutation spec of a network. Raises Skip where it has none."""
    spec = getattr(model, "permutation_spec", None)
    if not callable(spec):
        raise Skip(f"{type(model).__name__} has no permutation_spec(), which tells which axes may be mapped")
    return spec()


def attach(
    student: nn.Module, teacher: nn.Module, make_map: MakeMap, make_gate: MakeGate | None = None
) -> list[nn.Parameter]:
    """Make the student's tensors maps of the teacher's, in place.

    Args:
        student: what it holds itself goes unused without gates, and is trained along with them.
        teacher: its values are copied.
        make_map: initial matrices.
        make_gate: initial gate logits; without it there are no gates.

    Returns:
        All that is to be trained: matrices, gates, and what the student keeps of its own.
    """
    device = next(student.parameters()).device
    values = teacher.state_dict()
    parameters = dict(student.named_parameters())
    written: dict[str, nn.Parameter] = {}
    trained: list[nn.Parameter] = []
    for pair in sorted(pairs(student, teacher), key=lambda pair: pair.name.endswith("bias")):
        owner, _, entry = pair.name.rpartition(".")
        own = parameters.get(pair.name)
        if own is None:
            continue
        if not is_mapped(student, pair):
            trained.append(own)
            continue
        maps = {}
        for axis, group in enumerate(pair.axes):
            if group is None:
                continue
            shared = written.get(owner) if entry == "bias" else None
            matrix = make_map(pair, axis, own.shape[axis], values[pair.source].shape[axis])
            maps[axis] = nn.Parameter(matrix.to(device)) if shared is None else shared
        if 0 in maps:
            written[owner] = maps[0]
        gate = None if make_gate is None else nn.Parameter(make_gate(own.detach()))
        own.requires_grad_(make_gate is not None)
        link = LinearMap(values[pair.source], maps, gate)
        parametrize.register_parametrization(student.get_submodule(owner), entry, link)
        trained += [p for p in (*link.parameters(), own) if p.requires_grad and all(p is not q for q in trained)]
    return trained


def is_mapped(model: nn.Module, pair: Pair) -> bool:
    """Whether a parameter is mapped: some axis has a group, and it is not a norm's."""
    owner = model.get_submodule(pair.name.rpartition(".")[0])
    weight = getattr(owner, "weight", None)
    norm = isinstance(weight, Tensor) and weight.ndim == 1
    return not norm and any(group is not None for group in pair.axes)


def links(model: nn.Module) -> Iterator[tuple[nn.Module, str, LinearMap]]:
    """(module, tensor's name in it, map) of every mapped tensor."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for entry, chain in list(module.parametrizations.items()):  # type: ignore[union-attr, operator]
                yield module, entry, chain[0]


def fold(model: nn.Module) -> None:
    """Compute every mapped tensor once and drop maps, gates and teacher: a plain network remains, in place."""
    for module, entry, _ in links(model):
        parametrize.remove_parametrizations(module, entry, leave_parametrized=True)
    model.requires_grad_(True)


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}
