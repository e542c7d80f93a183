"""What a process spends: seconds, peak memory, floating point operations, samples through each given model.

With it the judge measures its own work for a method (providers, queries), and a method's process its operations and
samples; seconds and memory of that process are the judge's to measure (`bench.method_process.host`). Methods hold no
plumbing: there are forward hooks, and a thread that samples memory. Operations are those of convolutions and linear
layers (2 per multiply-add): forward, plus as many again for each of input and weight that the backward pass would need
a gradient for. Element-wise work, attention's products and methods' own matrix algebra are not counted. What the judge
does for itself in the middle of a method's run stands in `paused()` and is charged to nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from bench.clock import clock
from bench.task.black_box import BlackBox, sealed


@dataclass
class Costs:
    """What one method has cost so far."""

    seconds: float = 0.0
    """Processor seconds of this process; on a GPU seconds of the wall."""
    peak_memory_mb: float = 0.0
    """Growth of the process's resident memory (CPU) or of allocated memory (GPU) above its start."""
    flops: float = 0.0
    samples: dict[str, int] = field(default_factory=dict)
    """Inputs that went through each given model, forward passes under gradient or not."""
    paused: bool = field(default=False, repr=False)
    """Whether nothing is counted just now."""

    def as_data(self) -> dict[str, Any]:
        """JSON-ready, rounded to what is meaningful."""
        return {
            "seconds": round(self.seconds, 3),
            "peak_memory_mb": round(self.peak_memory_mb, 1),
            "flops": self.flops,
            "samples": dict(sorted(self.samples.items())),
        }


@contextmanager
def timed(costs: Costs, device: torch.device) -> Iterator[None]:
    """Add the seconds of this process while the body runs, but for what is `paused`."""
    meter = _Meter(costs, device)
    with _open(meter):
        yield


@contextmanager
def metered(costs: Costs, device: torch.device) -> Iterator[None]:
    """Add the seconds of this process while the body runs, and keep the highest growth of its memory."""
    meter = _Meter(costs, device)
    with meter.sampling(), _open(meter):
        yield


@contextmanager
def _open(meter: _Meter) -> Iterator[None]:
    _OPEN.append(meter)
    start = meter.clock()
    try:
        yield
    finally:
        meter.synchronize()
        meter.costs.seconds += meter.clock() - start
        _OPEN.remove(meter)


@contextmanager
def counted(costs: Costs, given: Mapping[str, object]) -> Iterator[Costs]:
    """Add the operations of all networks, given or made, and the samples through each given one, while the body runs.

    Copies of given networks are not counted as given. Standard models of images and of tables are counted at their
    first layer, `normalize`, which `model.features(x)` passes too; networks without that layer, those of texts among
    them, at whole forward passes. Queries of black boxes are counted where these are answered (`sample_counts`).

    Args:
        costs: where they are added.
        given: attribute of the task -> its value; networks may stand in lists and dicts.
    """
    named: dict[int, tuple[str, nn.Module]] = {}
    for attribute, value in given.items():
        for name, model in models_in(attribute, value):
            costs.samples.setdefault(name, 0)
            counted_at = getattr(model, "normalize", model)
            named[id(counted_at)] = name, counted_at
    # Hooks on the networks themselves would go along with their copies, and be in what a method returns.
    hooks = (
        register_module_forward_hook(_flop_counter(costs)),
        register_module_forward_pre_hook(_sample_counter(costs, named)),
    )
    try:
        yield costs
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def paused() -> Iterator[None]:
    """What runs in the body costs nothing to any open `metered` block; blocks opened in the body count as usual.

    No seconds, FLOPs or samples are counted, and memory that the body still holds at its end becomes part of
    the level above which growth is measured. May be nested.
    """
    meters = [meter for meter in _OPEN if not meter.costs.paused]
    for meter in meters:
        meter.pause()
    try:
        yield
    finally:
        for meter in meters:
            meter.resume()


def models_in(name: str, value: object) -> Iterator[tuple[str, nn.Module]]:
    """The networks in an attribute of a task, each under its name; black boxes opened, where this process has them."""
    if isinstance(value, BlackBox):
        value = sealed(value)
    if isinstance(value, nn.Module):
        yield name, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from models_in(f"{name}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from models_in(f"{name}[{key}]", item)


def _sample_counter(costs: Costs, named: Mapping[int, tuple[str, nn.Module]]) -> Any:
    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        name, original = named.get(id(module), ("", None))
        if module is original and not costs.paused and inputs and isinstance(inputs[0], Tensor):
            costs.samples[name] += len(inputs[0])

    return count


def _flop_counter(costs: Costs) -> Any:
    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if costs.paused:
            return
        if isinstance(module, nn.Linear):
            macs = output.numel() * module.in_features
        elif isinstance(module, nn.Conv2d):
            macs = output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose2d):
            macs = inputs[0].numel() * module.weight[0].numel()
        else:
            return
        passes = 1
        if torch.is_grad_enabled() and output.requires_grad:
            passes += int(module.weight.requires_grad) + int(inputs[0].requires_grad)
        costs.flops += 2.0 * macs * passes

    return count


class _Meter:
    """An open block: its clock can be stopped, and a thread may sample its memory."""

    def __init__(self, costs: Costs, device: torch.device) -> None:
        self.costs = costs
        self.clock = clock(device.type == "cuda")
        self._device = device
        self._process = psutil.Process()
        self._paused_at, self._held_at_pause = 0.0, 0
        self._lock = threading.Lock()  # the thread samples either before a pause or after it
        self._stop = threading.Event()
        self._sampled, self._level = False, 0

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """A thread looks at the memory meanwhile."""
        self._reset_peak()
        self._sampled, self._level = True, self._held()
        thread = threading.Thread(target=self._keep_sampling, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def synchronize(self) -> None:
        """Wait for what was started on the GPU, so that its time counts where it belongs."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def pause(self) -> None:
        """Count nothing from here."""
        self.synchronize()
        if self._sampled:
            self._sample()
        with self._lock:
            self.costs.paused = True
            self._held_at_pause = self._held() if self._sampled else 0
        self._paused_at = self.clock()

    def resume(self) -> None:
        """Count again, as if the time since `pause` had not been."""
        self.synchronize()
        self.costs.seconds -= self.clock() - self._paused_at
        with self._lock:
            if self._sampled:
                self._level += max(0, self._held() - self._held_at_pause)
                self._reset_peak()
            self.costs.paused = False

    def _keep_sampling(self) -> None:
        self._sample()
        while not self._stop.wait(0.02):
            self._sample()

    def _sample(self) -> None:
        with self._lock:
            if not self.costs.paused:
                growth = (self._peak() - self._level) / 2**20
                self.costs.peak_memory_mb = max(self.costs.peak_memory_mb, growth)

    def _held(self) -> int:
        """Bytes held now."""
        on_gpu = self._device.type == "cuda"
        return torch.cuda.memory_allocated(self._device) if on_gpu else self._process.memory_info().rss

    def _peak(self) -> int:
        """Bytes at most since the last reset; without a GPU that is what is held now."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else self._held()

    def _reset_peak(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)


_OPEN: list[_Meter] = []
