"""Which layer of a deeper (or equally deep) teacher a student's layer comes from, by the names of their tensors."""

from __future__ import annotations

from collections import defaultdict

from bench import Skip
from bench.models.permutation import Axis, PermutationSpec

Signature = frozenset[tuple[str, tuple[bool, ...]]]
"""What a block consists of: names inside it (numbers as #), and which of their axes have a permutation group."""

Blocks = dict[str, dict[int, Signature]]
"""Container -> number of a block in it -> what the block consists of."""


def matching_names(student: PermutationSpec, teacher: PermutationSpec) -> dict[str, str]:
    """Student's tensor -> teacher's tensor.

    Names are compared part by part. Where a part is a number, it counts blocks (stages, layers) in a row: of D_s in the
    student and D_t in the teacher, block j comes from block floor((j + 1/2) D_t / D_s) or, where that block is built
    differently (only a stage's first block has a projection shortcut), from the nearest one that is built alike.

    Raises:
        Skip: the networks are not of one family.
    """
    own, other = _blocks(student), _blocks(teacher)
    found = {}
    for name in student.axes:
        parts: list[str] = []
        for depth, part in enumerate(name.split(".")):
            here, there = ".".join(name.split(".")[:depth]), ".".join(parts)
            parts.append(_block(here, int(part), own, there, other) if part.isdigit() else part)
        found[name] = ".".join(parts)
        if _grouped(teacher.axes.get(found[name], ())) != _grouped(student.axes[name]):
            raise Skip(f"the teacher has no tensor {found[name]!r} like the student's {name!r}: another architecture")
    return found


def _block(here: str, index: int, own: Blocks, there: str, other: Blocks) -> str:
    """Name of the teacher's block, inside `there`, for block `index` of the student's `here`."""
    blocks, candidates = own[here], other.get(there, {})
    position = sorted(blocks).index(index)
    wanted = int((position + 0.5) * len(candidates) / len(blocks))
    alike = [i for i, key in enumerate(sorted(candidates)) if candidates[key] == blocks[index]]
    if not alike:
        raise Skip(f"the teacher has no block like the student's {here}.{index}: another architecture")
    return str(sorted(candidates)[min(alike, key=lambda i: abs(i - wanted))])


def _blocks(spec: PermutationSpec) -> Blocks:
    inside: dict[str, dict[int, set]] = defaultdict(lambda: defaultdict(set))
    for name, axes in spec.axes.items():
        parts = name.split(".")
        for depth, part in enumerate(parts):
            if part.isdigit():
                rest = ".".join("#" if p.isdigit() else p for p in parts[depth + 1 :])
                inside[".".join(parts[:depth])][int(part)].add((rest, _grouped(axes)))
    return {container: {i: frozenset(rest) for i, rest in blocks.items()} for container, blocks in inside.items()}


def _grouped(axes: tuple[Axis | None, ...]) -> tuple[bool, ...]:
    return tuple(axis is not None for axis in axes)
