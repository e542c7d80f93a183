"""Nothing is lost: processes that are killed, die, hang or run side by side, each for real."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

import bench
from bench.records.store import Store

ROOT = Path(__file__).parents[2]
KILLERS = {
    "toy-dies": "its process ended (exit code 3",
    "toy-ends-quietly": "its process ended (exit code 0",
    "toy-raises-what-cannot-travel": "TwoWordsError (which has no message) (toy.py:",
    "toy-interrupts": "KeyboardInterrupt: enough (toy.py:",
    "toy-exits": "SystemExit: 0 (toy.py:",
    "toy-hangs": "stopped after max_seconds = 20",
}


def test_methods_that_end_or_hold_their_process_fail_alone(toy, write_suite, tmp_path):
    path = write_suite(methods=[*KILLERS])
    path.write_text(path.read_text().replace('kind = "toy"', 'kind = "toy"\nmax_seconds = 20'))
    frame = bench.run(path, "smoke", plugins=[toy], results=tmp_path, seeds=[0], jobs=2).set_index("label")
    for label, reason in KILLERS.items():
        assert frame.loc[label, "status"] == "failed", label
        assert reason in frame.loc[label, "reason"]
    assert frame.loc["toy-nearest-mean", "accuracy"] > 0.7
    assert frame.loc["toy-constant", "status"] == "ok"
    assert len(Store(tmp_path / "toysuite" / "smoke.jsonl").read()) == len(KILLERS) + 2


def start(path, results, **environment):
    """A run of its own process, in its own process group."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "bench", "run", path, "--profile", "smoke", "--results", results, "--jobs", "1"),
            *("--plugin", ROOT / "tests" / "toy.py"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path, seconds=240):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


def test_kill_9_in_a_cell_loses_that_cell_only_and_the_next_run_goes_on(toy, write_suite, tmp_path, monkeypatch):
    path = write_suite(methods=["toy-waits"])
    began, results = tmp_path / "began", tmp_path / "results"
    process = start(path, results, TOY_BEGAN=str(began), TOY_WAITS="600")
    wait_for(began)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    store = Store(results / "toysuite" / "smoke.jsonl")
    before = store.read()
    assert [r.label for r in before] == ["toy-constant"]
    monkeypatch.setenv("TOY_BEGAN", str(began))
    monkeypatch.setenv("TOY_WAITS", "0")
    frame = bench.run(path, "smoke", plugins=[toy], results=results, jobs=2)
    assert frame["status"].tolist() == ["ok"] * 6
    assert store.read()[0] == before[0]
    assert len(store.read()) == 6


def test_workers_end_with_the_run_that_was_killed(write_suite, tmp_path):
    began = tmp_path / "began"
    process = start(write_suite(methods=["toy-waits"]), tmp_path / "results", TOY_BEGAN=str(began), TOY_WAITS="600")
    wait_for(began)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()  # the run alone, not its group
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert not alive


def test_a_polite_kill_says_how_to_go_on(write_suite, tmp_path):
    began = tmp_path / "began"
    process = start(write_suite(methods=["toy-waits"]), tmp_path / "results", TOY_BEGAN=str(began), TOY_WAITS="600")
    wait_for(began)
    process.terminate()
    told = process.communicate(timeout=240)[0]
    assert process.returncode == 130
    assert "the same command goes on from there" in told
    assert "Traceback" not in told


def test_two_runs_at_once_share_the_work(write_suite, tmp_path):
    path = write_suite(methods=["toy-waits", "toy-noisy-mean"])
    results = tmp_path / "results"
    runs = [start(path, results, TOY_BEGAN=str(tmp_path / "began"), TOY_WAITS="2") for _ in range(2)]
    told = [process.communicate(timeout=300)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], told
    records = Store(results / "toysuite" / "smoke.jsonl").read()
    assert sorted((r.label, r.seed) for r in records) == sorted(
        (label, seed)
        for label in ("toy-constant", "toy-nearest-mean", "toy-noisy-mean", "toy-waits")
        for seed in (0, 1)
    )


def test_two_workers_give_what_one_does(toy, write_suite, tmp_path):
    columns = ["key", "label", "seed", "accuracy", "nll", "ece"]
    two, one = (
        bench.run(write_suite(), "smoke", plugins=[toy], results=tmp_path / f"{jobs}", jobs=jobs)[columns]
        for jobs in (2, 1)
    )
    assert two.equals(one)
