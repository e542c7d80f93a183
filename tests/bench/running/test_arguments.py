"""What a run is asked for: Python's callers are held to what the command line checks, and told in a message."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import bench
from bench.errors import BenchError
from bench.running import arguments


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([0, 2], (0, 2)),
        (range(3), (0, 1, 2)),
        ([np.int64(7)], (7,)),
        (np.arange(2), (0, 1)),
        (np.array([1, 0], dtype=np.uint8), (1, 0)),
        (pd.Series([3, 4]), (3, 4)),
        ((s for s in (5, 6)), (5, 6)),
        ([2**32 - 1], (2**32 - 1,)),
    ],
)
def test_whole_numbers_of_any_make_are_seeds(given, taken):
    found = arguments.seeds(given)
    assert found == taken
    assert {type(seed) for seed in found} == {int}


@pytest.mark.parametrize(
    "given",
    [
        *("0", b"0", "0,1", 3, None, {0: 1}, [], (), ["0"], [0.0], [True], [None], [0, 0], [-1], [2**32], [[0]]),
        *(np.array(1), np.array([]), np.array([0.0]), np.array([[0]]), np.array([True]), torch.tensor([0])),
        *([float("nan")], [0, "1"], itertools.count(), np.int64(1)),
    ],
    ids=lambda given: repr(given)[:20],
)
def test_what_is_no_seed_is_a_message(given):
    with pytest.raises(BenchError, match="seed"):
        arguments.seeds(given)


@pytest.mark.parametrize("given", [0, -1, 1.0, "2", True, 10**6, [1]])
def test_jobs_are_one_or_more(given):
    with pytest.raises(BenchError, match="jobs = "):
        arguments.jobs(given)
    assert (arguments.jobs(None), arguments.jobs(np.int64(2))) == (None, 2)


@pytest.mark.parametrize("given", ["gpu", "", "cuda:", "cuda:x", "cpu:0", "CPU", 0, None, "cuda:1:2"])
def test_a_device_is_one_that_there_can_be(given):
    with pytest.raises(BenchError, match="give auto, cpu, cuda or cuda:1"):
        arguments.device(given)
    assert [arguments.device(name) for name in ("auto", "cpu", "cuda", "cuda:1")] == ["auto", "cpu", "cuda", "cuda:1"]


def test_results_go_into_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", "a\0b", None, 3, b"results"):
        with pytest.raises(BenchError, match="results"):
            arguments.results(folder)
    assert arguments.results(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    assert arguments.results("results") == Path("results")


@pytest.mark.parametrize(
    "words",
    [
        {"seeds": "012"},
        {"seeds": np.array([0, 0])},
        {"jobs": 0},
        {"device": "gpu"},
        {"only": 3},
        {"profile": 3},
        {"plugins": "mine.py"},
        {"plugins": [3]},
        {"plugins": ["nowhere.py"]},
        {"results": None},
    ],
    ids=str,
)
def test_the_door_from_python_says_what_is_wrong(write_suite, toy, tmp_path, words):
    with pytest.raises(BenchError):
        bench.run(write_suite(), **{"profile": "smoke", "results": tmp_path / "results"} | words)
    assert not (tmp_path / "results").exists()
    with pytest.raises(BenchError, match="suite = 3"):
        bench.run(3)
