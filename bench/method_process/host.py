"""The judge's side of a method's process: what it is given, what it asks, what it returns, and what it costs.

Nothing that a process sends is believed but as data (`forms`). Its processor seconds and memory are read from the
system; its operations and samples are what it reports.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import psutil
from torch import Tensor, nn

from bench.errors import BadResult, BenchError, MethodError, Skip
from bench.method_process import forms, grant, memory, wire
from bench.method_process.child import Errand
from bench.method_process.launcher import Server
from bench.task.handle import answer
from bench.task.meter import Costs, timed

LOOK = 0.02
"""Seconds between two looks at the memory of a method, and at what it started."""


@dataclass
class Run:
    """One run of a method in a process of its own: open until `close`, since code that it returned lives there."""

    server: Server
    errand: Errand
    costs: Costs
    progress: Callable[[int, int], None]
    handles: frozenset[int] = frozenset()
    _connection: Connection | None = None
    _told: int | None = None
    _keeper: int = 0
    _alone: bool = False
    """Whether its process was not forked, and has no keeper."""
    _method: psutil.Process | None = None
    _charged: float = 0.0
    """Processor seconds of the method that its costs hold."""
    _level: int = 0
    _ended: str | None = None
    read: frozenset[str] = frozenset()
    changed: tuple[str, ...] = ()
    """Where the errand is observed: attributes of the task that were read, and given networks that were changed."""
    _own: float = 0.0
    """Processor seconds of the method's process, as last seen."""
    _started: dict[int, float] = field(default_factory=dict)
    """Process number -> processor seconds of what the method started, as last seen."""
    _others: float = 0.0
    """Processor seconds of all that the method started, as last seen."""

    def result(self) -> Any:
        """Start the process, and wait for what the method returns.

        Raises:
            Skip: it says that it does not apply.
            MethodError: it raised, or its process ended.
            BadResult: what it returned is no result.
        """
        self._start()
        returned = False
        while True:
            head, packed = self._next()
            match head.get("what"):
                case "ready":
                    self._ready(wire.count(head, "held"))
                case "progress":
                    self.progress(wire.count(head, "done"), wire.count(head, "total"))
                case "ask":
                    self._answer(head, packed)
                case "raised":
                    self._charge()
                    self._reported(head)
                    raise _raised(head)
                case "returned":
                    if returned:
                        raise BadResult("the method's process says that it returned twice")
                    returned = True
                    self._reported(head)
                    self.read, self.changed = frozenset(wire.names(head, "read")), tuple(wire.names(head, "changed"))
                    self._say("deliver")
                case "result":
                    self._charge()
                    return self._opened(packed)
                case other:
                    raise BadResult(f"the method's process sent {other!r}")

    def predict(self, number: int, inputs: Tensor) -> Tensor:
        """Logits that returned code gives for a batch of inputs. What it takes is charged to the method.

        Raises:
            BadResult: it gives none.
        """
        connection = self._open_connection()
        if self._on_gpu:
            self._charged = self._seconds()  # the wall's seconds since the last answer were the judge's own
        try:
            wire.send(connection, {"code": number}, forms.pack(inputs.detach().cpu()))
            _, packed = self._next()
        except OSError:
            raise BadResult(self._dead()) from None
        except MethodError as error:
            raise BadResult(str(error)) from None
        self._charge()
        found = forms.unpack(packed) if packed is not None else None
        if isinstance(found, dict) and "raised" in found:
            raise BadResult(f"what was returned fails on inputs: {found['raised']}")
        if not isinstance(found, Tensor):
            raise BadResult(f"logits were expected, got {type(found).__name__}")
        return found.to(inputs.device)

    def close(self) -> None:
        """End the process and all that it started."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._told is not None:
            with suppress(psutil.Error):
                if self._method is not None and self._ended is None:
                    self._method.kill()
            if self._alone:
                self._end_alone()
            self._farewell()

    def _end_alone(self) -> None:
        """End what a process without a keeper started, but for what left its session."""
        with suppress(psutil.Error):
            for process in psutil.Process(self._keeper).children(recursive=True):
                process.kill()
        if hasattr(os, "killpg"):
            with suppress(OSError):
                os.killpg(self._keeper, signal.SIGKILL)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _on_gpu(self) -> bool:
        return self.errand.device.torch.type == "cuda"

    def _start(self) -> None:
        packed = grant.pack(self.errand)
        self.handles = packed.handles
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        self._told, telling = os.pipe()
        try:
            self._alone = self._on_gpu or not self.server.forks  # a GPU's driver does not outlive a fork
            fds = theirs.fileno(), packed.file.fileno(), telling
            self._keeper = self.server.start(*fds, alone=self._alone)
        finally:
            theirs.close()
            os.close(telling)
            packed.file.close()
        try:
            wire.send(self._connection, {"size": packed.size})
            self._connection.send_bytes(packed.pickled)
        except OSError:
            raise MethodError(self._dead()) from None

    def _ready(self, held: int) -> None:
        if self._method is None:
            keeper = psutil.Process(self._keeper)
            self._method = (keeper.children(recursive=True) or [keeper])[-1]
            self._charged, self._level = self._seconds(), held
            self._say("go")

    def _next(self) -> tuple[dict[str, Any], forms.Packed | None]:
        connection = self._open_connection()
        try:
            while not connection.poll(LOOK):
                self._look()
            return wire.receive(connection)
        except (EOFError, OSError):
            raise MethodError(self._dead()) from None

    def _answer(self, head: Mapping[str, Any], packed: forms.Packed | None) -> None:
        connection = self._open_connection()
        # On a GPU seconds are those of the wall, and the method's go on meanwhile.
        with nullcontext() if self._on_gpu else timed(self.costs, self.errand.device.torch):
            try:
                if head["handle"] not in self.handles or packed is None:
                    raise LookupError(f"handle {head['handle']} was not granted")
                found = answer(head["handle"], head["question"], tuple(forms.unpack(packed, self._granted())))
            except (BenchError, LookupError, TypeError, ValueError, RuntimeError) as error:
                self._say("refused", refused=f"{head.get('question')}: {error}")
                return
        try:
            wire.send(connection, {}, forms.pack(found))
        except OSError:
            raise MethodError(self._dead()) from None

    def _say(self, what: str, **more: Any) -> None:
        try:
            wire.send(self._open_connection(), {"what": what, **more})
        except OSError:
            raise MethodError(self._dead()) from None

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise BadResult("the method's process has ended, so its code can give no predictions")
        return self._connection

    def _opened(self, packed: forms.Packed | None) -> Any:
        """A result, in classes of this process; code in it answers from where it is."""
        if packed is None:
            raise BadResult("the method's process sent no result")
        device = self.errand.device.torch
        return _placed(forms.unpack(packed, self._granted()), self, device)

    def _granted(self) -> set[type[nn.Module]]:
        """Classes of networks that it may return beside those that everybody may."""
        return forms.classes_of(self.errand.given.values())

    def _charge(self) -> None:
        """Charge what was used since the last time, and keep the highest memory."""
        if self._method is None:
            return
        self._look()
        seconds = self._seconds()
        self.costs.seconds += seconds - self._charged
        self._charged = seconds

    def _reported(self, head: Mapping[str, Any]) -> None:
        """Add what the process tells of itself: operations, and samples through what it was given.

        Raises:
            BadResult: these are no counts.
        """
        counts = told if isinstance(told := head.get("counts"), dict) else {}
        flops, samples = counts.get("flops"), counts.get("samples")
        if not (isinstance(flops, int | float) and 0 <= flops < math.inf and isinstance(samples, dict)):
            raise BadResult(f"the method's process sent counts {told!r}")
        self.costs.flops += float(flops)
        if self._on_gpu:
            self.costs.peak_memory_mb = max(self.costs.peak_memory_mb, wire.count(counts, "gpu_bytes") / 2**20)
        for name in samples.keys() & self.costs.samples.keys():
            self.costs.samples[name] += wire.count(samples, name)

    def _seconds(self) -> float:
        """Processor seconds of the method's process, with those of what it started; on a GPU of the wall."""
        if self._on_gpu:
            return time.perf_counter()
        assert self._method is not None
        with suppress(psutil.Error, OSError):
            self._own = time.clock_gettime(_processor_clock(self._method.pid))
            alive = {p: p.cpu_times() for p in (self._method, *self._below())}
            self._started |= {p.pid: t.user + t.system for p, t in alive.items() if p != self._method}
            waited_for = sum(t.children_user + t.children_system for t in alive.values())
            numbers = {p.pid for p in alive}
            running = sum(s for pid, s in self._started.items() if pid in numbers)
            ended = sum(s for pid, s in self._started.items() if pid not in numbers)
            self._others = max(self._others, running + max(waited_for, ended))  # who ended counts once
        return self._own + self._others

    def _below(self) -> list[psutil.Process]:
        """What the method started and what is there yet."""
        assert self._method is not None
        return self._method.children(recursive=True) if memory.has_children(self._method.pid) else []

    def _look(self) -> None:
        """Keep the highest memory, and what the method started."""
        if self._method is None:
            return
        with suppress(psutil.Error, OSError):
            held = memory.held(self._method.pid)
            for below in self._below():
                with suppress(psutil.Error):
                    held += below.memory_info().rss
                    used = below.cpu_times()
                    self._started[below.pid] = used.user + used.system
            if not self._on_gpu:
                self.costs.peak_memory_mb = max(self.costs.peak_memory_mb, (held - self._level) / 2**20)

    def _dead(self) -> str:
        """Why the process sends nothing any more."""
        if self._ended is None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._farewell()
        return self._ended or "the method's process ended"

    def _farewell(self) -> None:
        """What the keeper tells in the end: how the method's process ended, and what others of it used."""
        assert self._told is not None
        with os.fdopen(self._told, "rb") as pipe:
            self._told = None
            text = pipe.read()
        found: dict[str, Any] = json.loads(text) if text else {"code": "unknown", "others": 0.0}
        self.costs.seconds += max(0.0, found["others"] - self._others)
        self._ended = (
            f"its process ended (exit code {found['code']}) before it returned anything; "
            "-9 is what running out of memory looks like"
        )


@dataclass(frozen=True)
class Code:
    """A predictor that is code: it runs in the method's process, on inputs alone."""

    run: Run
    number: int
    why: str
    """What of it has no form."""

    def __call__(self, inputs: Tensor) -> Tensor:
        return self.run.predict(self.number, inputs)


def _placed(thing: Any, run: Run, device: Any) -> Any:
    if isinstance(thing, nn.Module):
        return thing.to(device)
    if isinstance(thing, list | tuple):
        return [_placed(part, run, device) for part in thing]
    if isinstance(thing, dict) and "code" in thing:
        return Code(run, int(thing["code"]), str(thing.get("why")))
    if isinstance(thing, dict) and "nothing" in thing:
        return type(str(thing["nothing"]), (), {})()  # an object that shows its class and does nothing
    return thing


def _raised(head: Mapping[str, Any]) -> Exception:
    """The exception that a method raised, in classes of ours."""
    sort, kind, text, where = (str(head.get(name)) for name in ("sort", "type", "text", "where"))
    if sort == "skip":
        return Skip(text)
    return MethodError(f"{kind}: {text}" + ("" if sort == "known" else f" ({where})"))


def _processor_clock(pid: int) -> int:
    """The clock of a process's processor time (Linux: `clock_getcpuclockid`)."""
    return (~pid << 3) | 2
