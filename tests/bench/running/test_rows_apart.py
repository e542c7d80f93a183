"""Rows run by workers, each in a process of its own: what one does to its process does not reach the next one."""

import pytest

import bench

PLUGIN = """
import ctypes
import os

import torch

from bench import Skip, method
from bench.types import Count

SEEN = []
STEP = torch.optim.SGD.step


def state(task):
    '''What a row finds that an earlier one may have changed.'''
    return {
        "autograd": torch.is_grad_enabled(),
        "dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "optimiser": torch.optim.SGD.step is STEP,
        "global": SEEN,
        "environment": os.environ.get("TOY_MESS"),
        "labels": bool(task.labels.any()),
        "hooks": len(torch.nn.modules.module._global_forward_hooks),
        "folder": len(os.listdir(os.getcwd())),
    }


@method(family="toy", scenario="toy", access={"labels"})
def apart_looks(task, *, at: Count = 1):
    '''Tells what it finds.'''
    raise Skip(repr(state(task)))


@method(family="toy", scenario="toy", access={"labels"})
def apart_mess(task):
    '''Changes what all rows of a process share.'''
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    torch.optim.SGD.step = None
    SEEN.append("mess")
    os.environ["TOY_MESS"] = "left"
    task.labels.zero_()
    torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    open("left", "w").write("behind")
    raise Skip(repr(state(task)))


@method(family="toy", scenario="toy", access={"labels"})
def apart_exits(task):
    '''Ends its process as if all were well.'''
    os._exit(0)


@method(family="toy", scenario="toy")
def apart_is_killed(task):
    '''Dies as one does that has too much memory.'''
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def told(toy, tmp_path, write_suite):
    """The frame of a run of these rows by one worker, by label."""
    plugin = tmp_path / "apart.py"
    plugin.write_text(PLUGIN)

    def call(rows):
        bench.registry.load_plugin(plugin)
        text = write_suite().read_text().replace('["toy-noisy-mean"]', f"[{rows}]")
        path = write_suite(text=text)
        frame = bench.run(path, "smoke", plugins=[toy, plugin], results=tmp_path / "results", jobs=1, seeds=[0])
        return frame.set_index("label")

    return call


def test_what_a_row_does_to_its_process_reaches_no_other_row(told):
    """Its end by any exit code is its failure at once; it is not waited for."""
    rows = [
        '{ method = "apart-looks", label = "before" }',
        '"apart-mess"',
        '{ method = "apart-looks", label = "after a mess", at = 2 }',
        '"apart-exits"',
        '"apart-is-killed"',
        '"toy-dies"',
        '{ method = "apart-looks", label = "after deaths", at = 3 }',
    ]
    found = told(", ".join(rows))
    clean = found.loc["before", "reason"]
    assert "'autograd': True, 'dtype': 'torch.float32', 'threads': 1, 'optimiser': True, 'global': []" in clean
    assert found.loc["apart-mess", "reason"] != clean
    assert "'autograd': False, 'dtype': 'torch.float64', 'threads': 3" in found.loc["apart-mess", "reason"]
    assert found.loc["after a mess", "reason"] == clean
    assert found.loc["after deaths", "reason"] == clean
    for label, code in (("apart-exits", 0), ("apart-is-killed", -9), ("toy-dies", 3)):
        assert found.loc[label, "status"] == "failed"
        assert f"its process ended (exit code {code}) before it returned anything" in found.loc[label, "reason"]
    assert found.loc["toy-nearest-mean", "accuracy"] > 0.7, "and a row that is a row is one"
    assert found.loc["toy-constant", "status"] == "ok"
