"""What a job leaves changed in its process: a worker that is not as it was takes no other job.

A list of what to put back would always lack something, so the state of the process is compared, and a process that
differs is replaced by a fresh one. Only what libraries change when they are first imported is put back instead.
Seen are settings of torch, NumPy and Python, functions and classes that were exchanged, the globals of methods, and the
data set. Not seen is what hides in the objects of other libraries, in C, or on disk.
"""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.data.spec import Dataset

EXCHANGED_IN = ("builtins", "random", "math", "time", "copy", "numpy", "numpy.random", "numpy.linalg", "torch")
BELOW = ("bench.", "methods.", "torch.nn.", "torch.optim.", "torch.autograd.", "torch.utils.data.")
"""Modules (and packages, with all below) whose functions and classes must stay what they are."""

State = dict[str, Any]

_TORCH = f"{os.sep}torch{os.sep}"


def state() -> State:
    """The state of this process by name; equal values mean equal state."""
    return {**_python(), **_torch(), **dict(_modules())}


def state_of(dataset: Dataset | None) -> State:
    """The state of a data set, which all jobs of a process share."""
    if dataset is None:
        return {}
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {
        f"{name} data": [(part._version, part.sum().item()) for part in (split.inputs, split.labels)]
        for name, split in splits.items()
    }


def changed(before: State, now: State) -> list[str]:
    """Names of what differs; new names do not count, they come with what is imported late."""
    return [name for name, value in before.items() if now.get(name) != value]


def snapshot() -> tuple[Any, ...]:
    """What imports change: warning filters, environment, module path, current folder."""
    return list(warnings.filters), dict(os.environ), list(sys.path), os.getcwd()  # noqa: PTH109


def put_back(before: tuple[Any, ...]) -> None:
    """Restore a `snapshot`. Raises OSError where the folder is gone."""
    filters, environment, path, folder = before
    if warnings.filters != filters:
        warnings.filters[:] = filters  # type: ignore[index]
        warnings._filters_mutated()  # type: ignore[attr-defined]
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)
    sys.path[:] = path
    os.chdir(folder)


def _python() -> State:
    import numpy as np

    numbers = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
    return {
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "tracing": (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()),
        "hooks of sys": (sys.excepthook, sys.unraisablehook, sys.stdin, sys.stdout, sys.stderr),
        "garbage collector": (gc.isenabled(), gc.get_threshold()),
        "signal handlers": [signal.getsignal(number) for number in numbers],
        "timers": [signal.getitimer(timer)[0] > 0 for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)],
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (logging.root.level, logging.root.manager.disable),
        "threads": threading.active_count(),
        "child processes": len(multiprocessing.active_children()),
        "processors": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "numpy errors": (np.geterr(), np.geterrcall()),
    }


def _torch() -> State:
    import torch
    from torch import backends
    from torch.nn.modules import module
    from torch.optim import optimizer

    hooks = {
        f"{where.__name__}.{name}": len(value)
        for where in (module, optimizer)
        for name, value in vars(where).items()
        if name.startswith("_global_") and isinstance(value, dict)
    }
    return hooks | {
        "autograd": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "default dtype": torch.get_default_dtype(),
        "modes, default device": (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        ),
        "autocast": [
            (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind), torch.is_autocast_cache_enabled())
            for kind in ("cpu", "cuda")
        ],
        "precision": (torch.get_float32_matmul_precision(), backends.cuda.matmul.allow_tf32),
        "denormals": float(torch.tensor(1e-40, device="cpu", dtype=torch.float32).mul(1)) != 0,
        "mkldnn": backends.mkldnn.enabled,
        "cudnn": [getattr(backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32")],
    }


def _modules() -> Iterator[tuple[str, Any]]:
    """What is bound to the names of modules and of their classes; of methods also the size of containers."""
    from bench import registry

    of_methods = {entry.function.__module__ for entry in registry.METHODS.entries.values()}
    for name, module in list(sys.modules.items()):
        if module is None or not (name in EXCHANGED_IN or name in of_methods or name.startswith(BELOW)):
            continue
        for key, value in list(vars(module).items()):
            if name in of_methods:
                yield f"{name}.{key}", (id(value), _size(value))
            elif callable(value):
                yield f"{name}.{key}", id(_inside(value))
            if isinstance(value, type) and value.__module__ == name:
                for attribute, own in list(vars(value).items()):
                    if callable(own):
                        yield f"{name}.{key}.{attribute}", id(_inside(own))


def _inside(value: Any) -> Any:
    """A function without what torch itself wraps around it on first use (an optimiser's step)."""
    while isinstance(value, FunctionType) and hasattr(value, "__wrapped__") and _TORCH in value.__code__.co_filename:
        value = value.__wrapped__
    return value


def _size(value: Any) -> int | None:
    """Of a container the number of entries, of a tensor how often it was written to."""
    if isinstance(value, list | dict | set | bytearray):
        return len(value)
    torch = sys.modules["torch"]
    return value._version if isinstance(value, torch.Tensor) and not value.is_inference() else None
