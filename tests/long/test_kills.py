"""Nothing is lost: processes that are killed, die, hang or run side by side, each for real."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

import bench
from bench.records.store import Store

ROOT = Path(__file__).parents[2]
KILLERS = {
    "toy-dies": "its process ended (exit code 3",
    "toy-ends-quietly": "its process ended (exit code 0",
    "toy-raises-what-cannot-travel": "TwoWordsError: (which has no message) (toy.py:",
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


def start(path, results, place, *, jobs=1, waits="600"):
    """A run of its own process, in its own process group; its methods run in folders below `place`."""
    place.mkdir(exist_ok=True)
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "bench", "run", path, "--profile", "smoke", "--results", results),
            *("--jobs", str(jobs), "--plugin", ROOT / "tests" / "toy.py"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place), "TOY_WAITS": waits},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(happens, seconds=240):
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def wait_for_the_method(place):
    """Until a toy method that waits has begun."""
    wait_until(lambda: any(place.glob("ktbench-method-*/begun")))


def family_of(process):
    """Everything below a run."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def test_kill_9_in_a_cell_loses_that_cell_only_and_the_next_run_goes_on(toy, write_suite, tmp_path, monkeypatch):
    path = write_suite(methods=["toy-waits"])
    results = tmp_path / "results"
    process = start(path, results, tmp_path / "place")
    wait_for_the_method(tmp_path / "place")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    store = Store(results / "toysuite" / "smoke.jsonl")
    before = store.read()
    assert [r.label for r in before] == ["toy-constant"]
    monkeypatch.setenv("TOY_WAITS", "0")
    frame = bench.run(path, "smoke", plugins=[toy], results=results, jobs=2)
    assert frame["status"].tolist() == ["ok"] * 6
    assert store.read()[0] == before[0]
    assert len(store.read()) == 6


def test_everything_ends_with_the_run_that_was_killed(write_suite, tmp_path):
    process = start(write_suite(methods=["toy-waits"]), tmp_path / "results", tmp_path / "place")
    wait_for_the_method(tmp_path / "place")
    family = family_of(process)
    assert len(family) >= 4  # worker, server, keeper, method
    process.kill()  # the run alone, not its group
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=2 if not BUSY else 60)
    assert not alive


MOMENTS = 100
"""At which something is killed."""
BUSY = os.environ.get("CI") is not None or os.getloadavg()[0] > 4
"""Whether other work may hold up what should take two seconds."""


def test_whatever_is_killed_at_whatever_moment_no_record_is_lost_or_doubled_and_nothing_is_left(write_suite, tmp_path):
    """kill -9 of the run, a judge, a server, a keeper or a method; the run is started again where it was it."""
    rng, path = random.Random(13), write_suite(methods=["toy-waits"])
    path.write_text(path.read_text().replace("seeds = [0, 1]", f"seeds = {[*range(400)]}"))
    store = Store(tmp_path / "results" / "toysuite" / "smoke.jsonl")
    process, seen, killed = None, {}, Counter()
    for _ in range(MOMENTS):
        if process is None or process.poll() is not None:
            process = start(path, tmp_path / "results", tmp_path / "place", jobs=2, waits="0.05")
        time.sleep(rng.uniform(0.0, 5.0))
        family = family_of(process)
        victim = rng.choice([process, *family])
        killed["run" if victim is process else "one of its processes"] += 1
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
        if victim is process:
            process.communicate()
            _, alive = psutil.wait_procs(family, timeout=2 if not BUSY else 60)
            assert not alive, [p.cmdline() for p in alive]
        now = {(r.key, r.provenance["started"]): r.line() for r in store.read()} if store.path.is_file() else {}
        assert seen.items() <= now.items()
        seen = now
    if process.poll() is None:
        process.kill()
        process.communicate()
    assert min(killed.values()) > 5
    content = store.content()
    assert not content.faults
    ok = Counter(r.key for r in content.records if r.status == "ok")
    assert len(ok) > 50
    assert set(ok.values()) == {1}
    reasons = {r.reason for r in content.records if r.status == "failed"}
    assert all(re.search("process (died|ended)|server of methods' processes", why) for why in reasons), reasons


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0.2, 0.6, 1.5, 4.0, None])
def test_a_polite_kill_at_any_moment_ends_all_and_says_how_to_go_on(write_suite, tmp_path, number, times, after):
    """The moments are seconds after the start; None: in the middle of a method, with a record on disk."""
    process = start(write_suite(methods=["toy-waits"]), tmp_path / "results", tmp_path / "place")
    if after is None:
        wait_for_the_method(tmp_path / "place")
    else:
        time.sleep(after)
    family = family_of(process)
    began = time.monotonic()
    for one in range(times):
        time.sleep(0.1 * one)
        process.send_signal(number)
    told = process.communicate(timeout=240)[0]
    assert time.monotonic() - began < (5 if not BUSY else 60)
    assert process.returncode == 130
    assert "the same command goes on from there" in told
    assert "Traceback" not in told
    assert not psutil.wait_procs(family, timeout=2 if not BUSY else 60)[1]
    if after is None and times == 1:
        assert "toy-constant" in (tmp_path / "results" / "toysuite" / "smoke.md").read_text()


def test_two_runs_at_once_share_the_work(write_suite, tmp_path):
    path = write_suite(methods=["toy-waits", "toy-noisy-mean"])
    results = tmp_path / "results"
    runs = [start(path, results, tmp_path / "place", waits="2") for _ in range(2)]
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
