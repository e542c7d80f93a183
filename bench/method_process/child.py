"""What happens in the process of a method, from the grant to the result. The judge's side is `host`."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import registry
from bench.device import Device
from bench.errors import BenchError, Skip
from bench.method_process import forms, grant, memory, wire
from bench.method_process.wire import flattened
from bench.task.handle import Handle
from bench.task.meter import Costs, counted, models_in
from bench.task.task import Task


@dataclass(frozen=True)
class Errand:
    """What a method's process is asked to do; pickled by the judge."""

    method: str
    kind: str
    """Of scenario, whose task class is used."""
    params: dict[str, Any]
    given: dict[str, Any]
    """Attribute of the task -> value."""
    seed: int
    device: Device
    draws: tuple[Any, ...]
    """State of the global generators: torch, NumPy, random."""
    observed: bool = False
    """Whether to tell what the method read of its task, and which networks it changed (for the conformance kit)."""


def draws() -> tuple[Any, ...]:
    """The state of the global generators of this process."""
    return torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - methods may use them


def serve(connection: Connection, file: int) -> None:
    """Run one method: take the errand, tell what comes of it, and answer questions to the code that it returned.

    Args:
        connection: to the judge.
        file: descriptor of the granted tensors.
    """
    judge, held = _Judge(connection), memory.held(os.getpid())
    head = judge.take()
    errand: Errand = grant.unpack(connection.recv_bytes(), file, head["size"], judge.handle)
    os.close(file)
    _set_draws(errand.draws)
    if errand.device.threads != torch.get_num_threads():
        torch.set_num_threads(errand.device.threads)
    judge.granted = forms.classes_of(errand.given.values())
    counts, code, before = Costs(), _Code(judge.granted), 0
    try:
        task, seen = task_of(errand, judge.progress), Seen({})
        if errand.observed:
            seen = Seen.of(errand.given)
            task = seen.observed(task)
        with counted(counts, errand.given):
            before = _gpu_bytes(errand.device)  # with the driver started, which is no method's work
            judge.tell("ready", held=held)
            judge.take()
            result = registry.METHODS.get(errand.method).function(task, **errand.params)
    except BaseException as raised:  # whatever it is, it is that method's result
        judge.tell("raised", **_told(raised), counts=_counts(counts, errand.device, before))
        return
    judge.tell(
        "returned", counts=_counts(counts, errand.device, before), read=sorted(seen.read), changed=seen.changed()
    )
    judge.take()
    judge.deliver(code.form_of(result))
    while code.kept:  # until the judge has no more questions
        head = judge.take()
        judge.deliver(code.predict(head["code"], judge.thing()))


def task_of(errand: Errand, progress: Callable[[int, int], None]) -> Task:
    """The task, as a method gets it: what was granted, and what is made where the method runs."""
    kind, method = registry.SCENARIOS.get(errand.kind), registry.METHODS.get(errand.method)
    own: dict[str, Any] = {
        "device": errand.device.torch,
        "compute": errand.device,
        "seed": errand.seed,
        "generator": torch.Generator().manual_seed(errand.seed),
        "progress": progress,
    }
    task: Task = kind.task(own | errand.given, method.access, method.name)
    return task


@dataclass(frozen=True)
class Seen:
    """What a method did with its task, for the conformance kit."""

    before: dict[str, tuple[nn.Module, str]]
    """Name of each given network -> the network, and a digest of its weights before."""
    read: set[str] = field(default_factory=set)
    """Attributes of the task that were read."""

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Seen:
        """Look at all that is given before a method does."""
        networks = [pair for name, value in given.items() for pair in models_in(name, value)]
        return cls({name: (network, _digest(network)) for name, network in networks})

    def observed(self, task: Task) -> Task:
        """The same task, keeping which attributes are read."""
        read = self.read

        class Observed(type(task)):  # type: ignore[misc]
            def __getattribute__(self, name: str) -> Any:
                if not name.startswith("_"):
                    read.add(name)
                return super().__getattribute__(name)

        observed: Task = Observed.__new__(Observed)
        observed.__dict__.update(task.__dict__)
        return observed

    def changed(self) -> list[str]:
        """Given networks whose weights are not what they were."""
        return [name for name, (network, digest) in self.before.items() if _digest(network) != digest]


def _digest(network: nn.Module) -> str:
    state = network.state_dict().values()
    return " ".join(hashlib.sha256(flattened(t.detach().cpu())[0].numpy().tobytes()).hexdigest() for t in state)


@dataclass
class _Code:
    """Parts of a result that have no form: they stay here, and are asked for predictions."""

    granted: Collection[type[nn.Module]]
    """Classes of networks that the judge knows beside those that it always does."""
    kept: list[Any] = field(default_factory=list)

    def form_of(self, result: object) -> forms.Packed:
        """A result's form; networks without one, and predictors, by number."""
        try:
            return forms.pack(result, self.granted)
        except forms.NotPlainError:
            if isinstance(result, list | tuple):
                return forms.pack([self.place(part) for part in result], self.granted)
            return forms.pack(self.place(result), self.granted)

    def place(self, part: object) -> object:
        try:
            forms.pack(part, self.granted)
        except forms.NotPlainError as error:
            if not callable(part):
                return {"nothing": f"{type(part).__name__}"}
            self.kept.append(part)
            size = sum(p.numel() for p in part.parameters()) if isinstance(part, nn.Module) else None
            return {"code": len(self.kept) - 1, "why": str(error), "size": size}
        return part

    def predict(self, number: int, inputs: Tensor) -> forms.Packed:
        """Logits of one batch."""
        part = self.kept[number]
        if isinstance(part, nn.Module):
            part.eval()
            inputs = inputs.to(next((p.device for p in part.parameters()), inputs.device))
        try:
            with torch.inference_mode():
                return forms.pack(part(inputs))
        except Exception as error:
            return forms.pack({"raised": f"{type(error).__name__}: {error}"})


class _Judge:
    """The other side, as the method's process sees it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.RLock()  # a method may have threads
        self.last = 0.0
        self.came: forms.Packed | None = None
        self.granted: Collection[type[nn.Module]] = ()

    def take(self) -> dict[str, Any]:
        """The next message. Where the judge is gone, so is this process."""
        try:
            head, self.came = wire.receive(self.connection)
        except EOFError:
            os._exit(1)
        return head

    def thing(self) -> Any:
        """What came with the last message."""
        return None if self.came is None else forms.unpack(self.came)

    def tell(self, what: str, **more: Any) -> None:
        with self.lock:
            wire.send(self.connection, {"what": what, **more})

    def deliver(self, packed: forms.Packed) -> None:
        wire.send(self.connection, {"what": "result"}, packed)

    def ask(self, number: int, question: str, arguments: tuple[Any, ...]) -> Any:
        """Have the judge answer; see `bench.task.handle`."""
        try:
            packed = forms.pack(list(arguments), self.granted)
        except forms.NotPlainError as error:
            raise BenchError(
                f"{question}: {error}; the judge takes values, tensors and networks of known layers"
            ) from None
        with self.lock:
            wire.send(self.connection, {"what": "ask", "handle": number, "question": question}, packed)
            head = self.take()
            if "refused" in head:
                raise BenchError(head["refused"])
            return self.thing()

    def handle(self, number: int) -> Handle:
        """A handle of what the judge has under this number."""
        return Handle.elsewhere(number, self.ask)

    def progress(self, done: int, total: int) -> None:
        """Tell how far the method is, at most five times a second."""
        if (now := time.monotonic()) - self.last > 0.2:
            self.last = now
            self.tell("progress", done=int(done), total=int(total))


def _counts(costs: Costs, device: Device, before: int) -> dict[str, Any]:
    return {"flops": costs.flops, "samples": costs.samples, "gpu_bytes": max(0, _gpu_bytes(device) - before)}


def _gpu_bytes(device: Device) -> int:
    """The most that tensors of this process took on the GPU; 0 without one."""
    if device.torch.type != "cuda":
        return 0
    torch.zeros(1, device=device.torch)
    return torch.cuda.max_memory_allocated(device.torch)


def _set_draws(state: tuple[Any, ...]) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])  # noqa: NPY002 - methods may use them
    random.setstate(state[2])


def _told(raised: BaseException) -> dict[str, Any]:
    """An exception as data, though it be one that cannot say what it is."""
    try:
        text = str(raised)
    except BaseException:
        text = "(which has no message)"
    frames = traceback.extract_tb(raised.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename] or list(frames)
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "unknown place"
    sort = "skip" if isinstance(raised, Skip) else "known" if isinstance(raised, BenchError) else "other"
    return {"sort": sort, "type": type(raised).__name__, "text": text, "where": where}
