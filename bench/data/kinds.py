"""The kinds of data sets. Each kind has a folder beside this file, with its data sets and a module `kind`.

`kind` holds the dataclass of the kind (`Images`, `Texts`, `Table`), what a model is told of it (`ImageProblem`, ...),
and the functions of `Kind` below. A new kind (graphs, triples, sequences, pairs, streams) is a new folder, a line of
`KINDS`, its dataclass in `bench.data.spec.Dataset`, and its name in `takes` of the scenarios that can use it.

Stored inputs of the kinds differ in dtype, and the dtype alone says which kind a tensor is: code that holds inputs and
no data set asks `kind_of`, never the shape.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from bench.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from bench.data.parts import Parts
    from bench.data.source import Source

KindName = Literal["images", "texts", "tables"]
KINDS: tuple[KindName, ...] = get_args(KindName)

STORED: dict[KindName, str] = {"images": "uint8", "texts": "int64", "tables": "float32"}
"""The dtype of stored inputs: pixels [N, C, H, W], token numbers [N, L], columns [N, D]."""


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


def kind_of(inputs: Tensor) -> KindName:
    """The kind of stored inputs, by their dtype.

    Raises:
        BenchError: no kind stores inputs of this dtype.
    """
    dtype = str(inputs.dtype).removeprefix("torch.")
    for kind, stored in STORED.items():
        if stored == dtype:
            return kind
    told = ", ".join(f"{kind} {stored}" for kind, stored in STORED.items())
    raise BenchError(f"inputs of {dtype} {tuple(inputs.shape)} are stored inputs of no kind; the kinds store {told}")
