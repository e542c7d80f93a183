"""Student weights as learnt linear maps of a teacher's weights, kept as parametrizations of the student.

A tensor whose axes belong to permutation groups is W_s = L W_t R: every such axis k is multiplied by a matrix
M_k [s_k, t_k] from the teacher's length to the student's (so L = M_0 and R = M_1^T), and axes without a group (image
channels, classes, kernel positions, patches, words) stay as they are. Matrices of neighbouring layers are independent
of each other; a bias shares the L of its layer's weight. Norms, and tensors without any such axis, are trained as they
are.
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
        """L W_t R, in full precision also under autocast: these are weights, and small."""
        with torch.autocast(self.teacher.device.type, enabled=False):
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
    values, parameters = teacher.state_dict(), dict(student.named_parameters())
    writing: dict[str, nn.Parameter] = {}  # a layer's L, which its bias shares
    trained: list[nn.Parameter] = []
    for pair in sorted(pairs(student, teacher), key=lambda pair: pair.name.endswith("bias")):
        if pair.name not in parameters:  # a running statistic
            continue
        own, source = parameters[pair.name], values[pair.source]
        if not is_mapped(student, pair):
            trained.append(own)
            continue
        owner, _, entry = pair.name.rpartition(".")
        maps: dict[int, nn.Parameter] = {}
        for axis, (s, t) in enumerate(zip(own.shape, source.shape, strict=True)):
            if axis == 0 and entry == "bias" and owner in writing:
                maps[0] = writing[owner]
            elif pair.axes[axis] is not None:
                maps[axis] = nn.Parameter(make_map(pair, axis, s, t).to(own.device))
                trained.append(maps[axis])
        if 0 in maps:
            writing[owner] = maps[0]
        gate = None if make_gate is None else nn.Parameter(make_gate(own.detach()))
        own.requires_grad_(gate is not None)
        trained += [] if gate is None else [gate, own]
        parametrize.register_parametrization(student.get_submodule(owner), entry, LinearMap(source, maps, gate))
    return trained


def is_mapped(model: nn.Module, pair: Pair) -> bool:
    """Whether a parameter is mapped: some axis has a group, and it is not a norm's."""
    owner = model.get_submodule(pair.name.rpartition(".")[0])
    weight = getattr(owner, "weight", None)
    norm = isinstance(weight, Tensor) and weight.ndim == 1
    return not norm and any(group is not None for group in pair.axes)


def links(model: nn.Module) -> Iterator[tuple[str, LinearMap]]:
    """(name, map) of every mapped tensor."""
    for owner, module in model.named_modules():
        if parametrize.is_parametrized(module):
            for entry, chain in module.parametrizations.items():
                yield f"{owner}.{entry}" if owner else entry, chain[0]


@torch.no_grad()
def fold(mapped: nn.Module, plain: nn.Module) -> None:
    """Fill a plain network, a copy from before `attach`, with what the mapped one has come to; it ends in eval mode."""
    values = mapped.state_dict()
    for name, _ in links(mapped):
        owner, _, entry = name.rpartition(".")
        values[name] = getattr(mapped.get_submodule(owner), entry)
    plain.load_state_dict({name: values[name] for name in plain.state_dict()})
    plain.eval()


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in model.state_dict().items()}
