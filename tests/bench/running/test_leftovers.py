"""What differs in a process after a job is seen, and what honest jobs do is not taken for it."""

import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench import registry
from bench.data import load
from bench.data.spec import DataSpec
from bench.running import leftovers


@pytest.fixture(scope="module", autouse=True)
def discovered():
    registry.discover()


@pytest.fixture
def before():
    return leftovers.state()


def seen(before):
    return leftovers.changed(before, leftovers.state())


def test_a_process_that_trains_is_as_it_was(before):
    weight = nn.Parameter(torch.ones(2))
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        optimizer = kind([weight], lr=0.1)
        weight.sum().backward()
        optimizer.step()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        nn.Linear(2, 2)(torch.ones(1, 2))
    import optuna  # noqa: F401 - late imports change nothing that counts

    assert seen(before) == []


CHANGES = {
    "autograd": (lambda: torch.set_grad_enabled(False), lambda: torch.set_grad_enabled(True)),
    "default dtype": (lambda: torch.set_default_dtype(torch.float64), lambda: torch.set_default_dtype(torch.float32)),
    "modes, default device": (lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)),
    "torch threads": (lambda: torch.set_num_threads(7), None),
    "deterministic": (
        lambda: torch.use_deterministic_algorithms(True),
        lambda: torch.use_deterministic_algorithms(False),
    ),
    "denormals": (lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)),
    "precision": (lambda: torch.set_float32_matmul_precision("medium"), None),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", True), lambda: torch.set_autocast_enabled("cpu", False)),
    "numpy errors": (lambda: np.seterr(all="raise"), lambda: np.seterr(**DEFAULT_ERRORS)),
    "recursion limit": (lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 50), None),
    "garbage collector": (gc.disable, gc.enable),
    "logging": (lambda: logging.disable(logging.ERROR), lambda: logging.disable(logging.NOTSET)),
    "signal handlers": (
        lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
        lambda: signal.signal(signal.SIGUSR1, signal.SIG_DFL),
    ),
    "timers": (lambda: signal.alarm(1000), lambda: signal.alarm(0)),
}
DEFAULT_ERRORS = np.geterr()


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_setting_is_seen(before, name):
    change, back = CHANGES[name]
    threads, limit, precision = torch.get_num_threads(), sys.getrecursionlimit(), torch.get_float32_matmul_precision()
    try:
        change()
        assert name in seen(before)
    finally:
        (back or (lambda: None))()
        torch.set_num_threads(threads)
        sys.setrecursionlimit(limit)
        torch.set_float32_matmul_precision(precision)
    assert seen(before) == []


def test_what_was_exchanged_is_seen(before, monkeypatch):
    from bench.scenarios import judging
    from methods.merging import ties

    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: None)
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x)
    monkeypatch.setattr(nn.functional, "relu", torch.tanh)
    monkeypatch.setattr(random, "random", lambda: 0.5)
    monkeypatch.setattr(judging, "logits", None)
    monkeypatch.setattr(ties, "BLOCK", 3)
    assert {
        "torch.optim.sgd.SGD.step",
        "torch.nn.modules.linear.Linear.forward",
        "torch.nn.functional.relu",
        "random.random",
        "bench.scenarios.judging.logits",
        "methods.merging.ties.BLOCK",
    } <= set(seen(before))


def test_hooks_on_all_modules_and_what_a_method_remembers_are_seen(monkeypatch):
    from methods.merging import ties

    monkeypatch.setattr(ties, "remembered", [], raising=False)
    monkeypatch.setattr(ties, "running", torch.zeros(2), raising=False)
    before = leftovers.state()
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    ties.remembered.append(1)
    ties.running.add_(1)
    try:
        found = seen(before)
    finally:
        handle.remove()
    assert {"methods.merging.ties.remembered", "methods.merging.ties.running"} <= set(found)
    assert any("_global_forward_hooks" in name for name in found)


def test_a_thread_that_goes_on_is_seen(before):
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    assert "threads" in seen(before)
    over.set()
    thread.join()
    assert seen(before) == []


def test_data_written_to_are_seen():
    data = load(DataSpec(name="digits", train=20, validation=5, test=5))
    before = leftovers.state_of(data)
    assert leftovers.changed(before, leftovers.state_of(data)) == []
    data.train.inputs[:3].zero_()
    data.test.labels.numpy()[0] += 1  # behind torch's back
    assert leftovers.changed(before, leftovers.state_of(data)) == ["training data", "test data"]
    assert leftovers.state_of(None) == {}


def test_what_imports_change_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setenv("LEFT_ALONE", "yes")
    before, folder = leftovers.snapshot(), os.getcwd()  # noqa: PTH109
    warnings.simplefilter("ignore")
    os.environ["LEFT"] = "a mess"
    del os.environ["LEFT_ALONE"]
    sys.path.insert(0, str(tmp_path))
    os.chdir(tmp_path)
    leftovers.put_back(before)
    assert leftovers.snapshot() == before
    assert os.getcwd() == folder  # noqa: PTH109
    assert os.environ["LEFT_ALONE"] == "yes"


def test_a_worker_that_cannot_come_up_ends_the_run_with_a_message(monkeypatch, tmp_path):
    from bench.running import workers

    class Dead:
        def __init__(self, *_):
            self.process = SimpleNamespace(exitcode=1, kill=lambda: None, join=lambda: None)
            self.ours = SimpleNamespace(close=lambda: None)

        def comes_up(self):
            return False

    monkeypatch.setattr(workers, "_Worker", Dead)
    pool = workers.Workers(1, 1, (), tmp_path)
    error = pool.submit(None, 1.0).exception()
    assert isinstance(error, workers.CannotStartError)
    assert "(exit code 1) before they take a job" in str(error)
    assert '__name__ == "__main__"' in str(error)
    pool.close()
