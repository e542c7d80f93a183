"""A line between two sides that is a list of messages, so that tests of what is sent need no process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.method_process import forms, wire


class Line:
    """In place of a `Connection`."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)

    def send_bytes(self, message: Any) -> None:
        self.messages.append(bytes(message))

    def recv_bytes(self, most: int | None = None) -> bytes:
        if not self.messages:
            raise EOFError
        if most is not None and len(self.messages[0]) > most:
            raise OSError("bad message length")
        return self.messages.pop(0)


@pytest.fixture
def line() -> type[Line]:
    return Line


@pytest.fixture
def travelled() -> Callable[..., Any]:
    """`travelled(thing, granted)` -> the thing after its way to the other side."""

    def call(thing: object, granted: Any = ()) -> Any:
        between = Line()
        wire.send(between, {}, forms.pack(thing, granted))  # type: ignore[arg-type]
        _, packed = wire.receive(between)  # type: ignore[arg-type]
        assert not between.messages
        assert packed is not None
        return forms.unpack(packed, granted)

    return call
