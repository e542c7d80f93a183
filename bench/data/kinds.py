"""The kinds of data sets. Each kind has a folder beside this file, with its data sets and a module `kind`.

`kind` holds the dataclass of the kind (`Images`, `Texts`, `Table`), what a model is told of it (`ImageProblem`, ...),
and the functions of `Kind` below. A new kind (graphs, triples, sequences, pairs, streams) is a new folder, a line of
`bench.types.STORED`, a branch of `bench.device.as_input`, its dataclass in `bench.data.spec.Dataset`, and its name in
`takes` of the scenarios that can use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import numpy as np

    from bench.data.parts import Parts
    from bench.data.source import Source
    from bench.types import KindName


class Kind(Protocol):
    """What the module `bench.data.<kind>.kind` offers."""

    def sized(self, source: Source, size: int | None, /) -> tuple[int, ...]:
        """The shape of one input at the size that a suite asks for. Raises DataError where it cannot be so."""

    def dataset(
        self, told: dict[str, Any], parts: Parts, rows: dict[str, np.ndarray], shape: tuple[int, ...], /
    ) -> Any:
        """The dataclass of the kind.

        Args:
            told: name, variant, fingerprint, classes.
            parts: the arrays as stored.
            rows: of `train` and `validation` in the official training part, of `test` in the official test part.
            shape: of one input, from `sized`.
        """


def kind_module(kind: KindName) -> Kind:
    """The module of a kind, imported when it is needed."""
    return cast("Kind", import_module(f"bench.data.{kind}.kind"))
