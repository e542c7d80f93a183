"""What a method may ask and not open: a handle, and the thing behind it, which only the judge has.

A black box, a monitor and a path each hold one. In a method's process a handle is a number and nothing lies behind it:
what is asked goes to the judge. Where a method runs in the judge's own process (`bench test --inline`), the thing lies
in a table of this module, so that walking a task's objects does not reach it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NoReturn

_BEHIND: dict[int, Any] = {}
_NUMBERS = itertools.count()

Ask = Callable[[int, str, tuple[Any, ...]], Any]
"""ask(number of a handle, name of a question, arguments): the answer."""


class Handle:
    """Stands for a thing that answers the questions that its class lists in `ANSWERS`.

    A copy has the same thing behind it, which is forgotten with the first handle.
    """

    __slots__ = ("_ask", "_owner", "number")

    def __init__(self, thing: object) -> None:
        self.number = next(_NUMBERS)
        self._ask: Ask = answer
        self._owner = True
        _BEHIND[self.number] = thing

    @classmethod
    def elsewhere(cls, number: int, ask: Ask) -> Handle:
        """A handle of a thing that lies in another process."""
        handle = cls.__new__(cls)
        handle.number, handle._ask, handle._owner = number, ask, False
        return handle

    def ask(self, question: str, *arguments: Any) -> Any:
        """What the thing answers. Arguments and answer are plain values, tensors and networks."""
        return self._ask(self.number, question, arguments)

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Handle:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("what a task only has a handle of cannot be pickled: it stays with the judge")

    def __del__(self) -> None:
        if getattr(self, "_owner", False):
            _BEHIND.pop(self.number, None)


def answer(number: int, question: str, arguments: tuple[Any, ...]) -> Any:
    """Have the thing behind a handle of this process answer.

    Raises:
        LookupError: there is no such thing, or it does not answer this.
    """
    thing = _BEHIND[number]
    if question not in type(thing).ANSWERS:
        raise LookupError(f"{type(thing).__name__} does not answer {question!r}")
    return getattr(thing, question)(*arguments)


def behind(handle: Handle) -> Any:
    """The thing, for the judge; None in a method's process."""
    return _BEHIND.get(handle.number)
