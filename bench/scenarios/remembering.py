"""What scoring works out from standard models alone is worked out once in a process, not once for every cell."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")
MOST = 64
"""So many things are kept; the one that was not asked for longest goes first."""
_KEPT: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


def remembered(key: tuple[Any, ...], make: Callable[[], T]) -> T:
    """What `make` gives. Nobody may change it.

    Args:
        key: names everything that the value depends on: keys of standard models, digests of rows, seeds, device.
        make: must draw from generators of its own only, for it is called in some cells and not in others.
    """
    if key in _KEPT:
        _KEPT.move_to_end(key)
    else:
        _KEPT[key] = make()
        if len(_KEPT) > MOST:
            _KEPT.popitem(last=False)
    kept: T = _KEPT[key]
    return kept


def digest(tensors: Iterable[Tensor]) -> str:
    """16 hex digits over shapes and contents."""
    told = hashlib.sha256()
    for tensor in tensors:
        told.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        told.update(tensor.detach().cpu().contiguous().numpy().data)
    return told.hexdigest()[:16]
