"""What a method may hold and not open: a handle, and the thing behind it, to which nothing of the handle leads."""

from __future__ import annotations

import itertools
from typing import Any, NoReturn

_BEHIND: dict[int, Any] = {}
_NUMBERS = itertools.count()


class Handle:
    """Stands for a thing that lies in a table of this module, so that walking a task's objects does not reach it.

    `Monitor`, `Path` and `BlackBox` each hold one. A copy of such an object has the same handle, and so the same thing
    behind it; the thing is forgotten with the handle.
    """

    __slots__ = ("_number",)

    def __init__(self, thing: object) -> None:
        self._number = next(_NUMBERS)
        _BEHIND[self._number] = thing

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Handle:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("what a task only has a handle of cannot be pickled: it stays in its process")

    def __del__(self) -> None:
        _BEHIND.pop(self._number, None)


def behind(handle: Handle) -> Any:
    """The thing, for the harness alone."""
    return _BEHIND[handle._number]
