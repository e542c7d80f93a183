"""The plug-in of pytest: a planted regression is caught, reruns of an unchanged suite raise no alarm."""

import contextlib
import gc
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import bench
from bench import pytest_plugin, registry
from bench.records.store import Store

SUITE = """
title = "Guessing"
seeds = [0, 1, 2, 3]
[data]
name = "digits"
train = 300
test = 200
[scenarios.hand]
kind = "toy"
methods = ["half-mean"]
[profiles.smoke]
"""
METHODS = '''
import torch
from bench import method

@method(family="toy", scenario="toy", access={"labels"})
def half_mean(task):
    """Nearest class mean of a random half of the rows."""
    half = torch.randperm(len(task.labels), generator=task.generator)[: len(task.labels) // 2]
    x, y = task.inputs[half].flatten(1).float() / 255, task.labels[half]
    return Means(torch.stack([x[y == c].mean(0) for c in range(task.num_classes)]))
'''
REGRESSION = ("x[y == c].mean(0)", "x[y == c].mean(0) * (c < 5)")


@dataclass
class Ended:
    """What a pytest within this one left: how often it came to what, and what it printed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failed: set[str] = field(default_factory=set)
    """Names of items."""
    code: int = 0
    text: str = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A hook of pytest."""
        if report.when == "call" or report.skipped:
            self.outcomes[report.outcome] += 1
        if report.failed:
            self.failed.add(report.nodeid.partition("::")[2])


QUICK = ("-s", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
"""The last of these collects garbage five times."""


def run(*words: str) -> Ended:
    """pytest within this one. Not by `pytester`, which takes torch out of `sys.modules` again."""
    ended, out = Ended(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        ended.code = pytest.main([*QUICK, *words], plugins=[pytest_plugin, ended])
    ended.text = out.getvalue()
    return ended


Rerun = Callable[..., Ended]


@pytest.fixture
def plugin(tmp_path: Path, toy: Path, no_workers: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a method of the toy scenario, beside a suite that has it."""
    for known in (registry.METHODS, registry.SCENARIOS):
        monkeypatch.setattr(known, "entries", dict(known.entries))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # under it pytest-benchmark measures nothing
    means = re.search(r"class Means.*?(?=\n@method)", toy.read_text(), flags=re.DOTALL)
    assert means is not None
    path = tmp_path / "mine.py"
    path.write_text(f"import torch\nfrom torch import Tensor, nn\n\n\n{means[0]}\n{METHODS}")
    (tmp_path / "guess.toml").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return path


@pytest.fixture
def rerun(plugin: Path) -> Rerun:
    """`rerun("--bench-sample=4")`: pytest on the suite and its baseline, which is computed first."""
    gc.collect()
    gc.freeze()  # each cell ends with a collection of garbage, which need not go through all that was imported
    bench.run("guess.toml", "smoke", only="half-mean", results="results", plugins=[str(plugin)], jobs=1)

    def on_baseline(*words: str) -> Ended:
        for name in [n for n, module in sys.modules.items() if str(getattr(module, "__file__", "")) == str(plugin)]:
            del sys.modules[name]
        options = ["--bench-suite=guess.toml", "--bench-baseline=results/guess", "--bench-profile=smoke"]
        return run(*options, f"--bench-plugin={plugin}", *words)

    return on_baseline


RECORDS = Path("results/guess/smoke.jsonl")
NO_COSTS = ("-p", "no:benchmark")


def plant(plugin: Path) -> None:
    text = plugin.read_text()
    assert REGRESSION[0] in text
    plugin.write_text(text.replace(*REGRESSION))


def test_ten_reruns_of_an_unchanged_suite_raise_no_alarm(rerun):
    for _ in range(10):
        assert rerun("--bench-only=*/half-mean/[01]", *NO_COSTS).outcomes == {"passed": 2}


def test_a_planted_regression_is_caught_with_metric_distance_and_chance(rerun, plugin):
    bench.run("guess.toml", "smoke", only="toy-constant", results="results", plugins=[str(plugin)], jobs=1)
    plant(plugin)
    ended = rerun("--bench-sample=8", *NO_COSTS)
    assert ended.failed == {f"hand/half-mean/{seed}" for seed in range(4)}
    assert ended.outcomes["passed"] == 4
    assert re.search(r"half-mean/0 left its baseline, .*smoke\.jsonl", ended.text)
    told = (
        r"accuracy, %: [\d.]+, on record [\d.]+ \(.[\d.]+\); one more of 4 seeds would lie in \[.*\] with 95 %; chance"
    )
    assert re.search(told, ended.text)


def test_a_cell_that_fails_says_why(rerun, plugin):
    plugin.write_text(plugin.read_text().replace("half = ", "half = undefined + "))
    ended = rerun("--bench-only=half-mean/0", *NO_COSTS)
    assert ended.outcomes == {"failed": 1}
    assert re.search(r"ok on record, failed here: .*undefined", ended.text)


def test_a_baseline_of_one_seed_has_no_band_and_says_so(rerun, plugin):
    RECORDS.write_text("".join(f"{record.line()}\n" for record in Store(RECORDS).read() if record.seed == 0))
    plant(plugin)
    ended = rerun("--bench-only=half-mean/0", "-rs", *NO_COSTS)
    assert ended.outcomes == {"skipped": 1}
    assert "the baseline has one seed, so its spread is not known" in ended.text


def test_a_baseline_changes_only_when_asked_and_shows_how(rerun, plugin):
    before = RECORDS.read_bytes()
    plant(plugin)
    assert rerun("--bench-only=half-mean", *NO_COSTS).outcomes == {"failed": 4}
    assert RECORDS.read_bytes() == before
    ended = rerun("--bench-only=half-mean", *NO_COSTS, "--bench-update")
    assert ended.outcomes == {"passed": 4}
    assert "worse   guess/smoke hand/half-mean: accuracy, %" in ended.text
    assert "4 records appended to" in ended.text
    assert RECORDS.read_bytes().startswith(before)
    assert rerun("--bench-only=half-mean", *NO_COSTS).outcomes == {"passed": 4}


def test_costs_are_ratios_of_pytest_benchmark(rerun):
    ended = rerun("--bench-only=half-mean/0", "--benchmark-json=costs.json")
    assert ended.outcomes == {"passed": 2}
    (told,) = json.loads(Path("costs.json").read_text())["benchmarks"]
    assert told["name"] == "hand/half-mean/0 seconds"
    assert told["group"] == pytest_plugin.COSTS
    assert f"half-mean/0 {told['stats']['mean']:.2f} x" in ended.text


def test_named_tests_run_beside_the_suite_and_others_do_not(rerun):
    Path("test_own.py").write_text("def test_one(): pass")
    assert rerun("--bench-only=half-mean/0", *NO_COSTS).outcomes == {"passed": 1}
    assert rerun("--bench-only=half-mean/0", *NO_COSTS, "test_own.py").outcomes == {"passed": 2}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bench-suite=guess.toml"], "go together"),
        (["--bench-suite=guess.toml", "--bench-baseline=nowhere", "--bench-profile=smoke"], "no baseline of guess"),
        (["--bench-suite=nosuch", "--bench-baseline=results"], "nosuch"),
        (["--bench-suite=guess.toml", "--bench-baseline=results", "--bench-sample=0"], "from 1 on"),
    ],
)
def test_bad_options_say_what_is_right(words, told, plugin):
    ended = run(f"--bench-plugin={plugin}", *words)
    assert ended.code == pytest.ExitCode.USAGE_ERROR
    assert told in ended.text


def test_nothing_heavy_is_imported_before_it_is_used():
    code = "import sys, bench.pytest_plugin; print({'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
