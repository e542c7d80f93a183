"""What a cell costs: seconds, peak memory, floating point operations, samples through each given model.

Everything is measured from outside, by forward hooks and a sampling thread, so that methods hold no
plumbing. Operations are those of convolutions and linear layers (2 per multiply-add): forward, plus as
many again for each of input and weight that the backward pass would need a gradient for. Element-wise
work, attention's products and methods' own matrix algebra are not counted.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from bench.task import BlackBox, Task, sealed


@dataclass
class Costs:
    """What one method has cost so far."""

    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    """Growth of the process's resident memory (CPU) or of allocated memory (GPU) above its start."""
    flops: float = 0.0
    samples: dict[str, int] = field(default_factory=dict)
    """Images that went through each given model, forward passes under gradient or not."""

    def as_data(self) -> dict[str, Any]:
        """JSON-ready, rounded to what is meaningful."""
        return {
            "seconds": round(self.seconds, 3),
            "peak_memory_mb": round(self.peak_memory_mb, 1),
            "flops": self.flops,
            "samples": dict(sorted(self.samples.items())),
        }


@contextmanager
def metered(costs: Costs, device: torch.device) -> Iterator[Costs]:
    """Fill `costs` while the body runs. FLOPs of all modules are counted, given or made by the method."""
    count = _flop_counter(costs)
    handle = register_module_forward_hook(count)
    stop, sampler = _sample_memory(costs, device)
    start = time.perf_counter()
    try:
        yield costs
    finally:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        costs.seconds += time.perf_counter() - start
        handle.remove()
        stop.set()
        sampler.join()


def watch(task: Task, costs: Costs) -> None:
    """Count the samples through every model in the task, also in lists and dicts; copies of them are not counted.

    Standard models are counted at their first layer, `normalize`, which `model.features(x)` passes too.
    """
    for attribute, value in vars(task).items():
        for name, item in _models(attribute, value):
            model = sealed(item) if isinstance(item, BlackBox) else item
            costs.samples.setdefault(name, 0)
            _count_samples(getattr(model, "normalize", model), name, costs)


def _models(name: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, nn.Module | BlackBox):
        yield name, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _models(f"{name}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _models(f"{name}[{key}]", item)


def _count_samples(model: nn.Module, name: str, costs: Costs) -> None:
    original = weakref.ref(model)

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module is original() and inputs and isinstance(inputs[0], Tensor):
            costs.samples[name] += len(inputs[0])

    model.register_forward_pre_hook(count)


def _flop_counter(costs: Costs) -> Any:
    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
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


def _sample_memory(costs: Costs, device: torch.device) -> tuple[threading.Event, threading.Thread]:
    stop = threading.Event()
    process = psutil.Process()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = torch.cuda.memory_allocated(device) if device.type == "cuda" else process.memory_info().rss

    def sample() -> None:
        while True:
            on_gpu = device.type == "cuda"
            now = torch.cuda.max_memory_allocated(device) if on_gpu else process.memory_info().rss
            costs.peak_memory_mb = max(costs.peak_memory_mb, (now - start) / 2**20)
            if stop.wait(0.02):
                return

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    return stop, thread
