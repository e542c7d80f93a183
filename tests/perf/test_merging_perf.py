"""Merging four fine-tunes of a transformer, ours beside mergekit and fusion-bench: same process, by turns, one thread.

pytest tests/perf/test_merging_perf.py --benchmark-only -s      (tox -e peers installs the two)

The transformer has 12 layers of width 768 (feed-forward 3072): 85 million parameters, random weights, experts that are
small random steps away. Ours is what a user calls, the method on a task; theirs what their users call in a program
(`merge_state_dicts`; the algorithm on a pool of models), or the function below it where the algorithm would first
compute statistics that are given to ours. Copies for a rival that overwrites its models are made before the clock
starts. mergekit returns tensors, the other two a network. Methods that decompose or solve matrices (RegMean, TSV,
Iso) merge the first 2 of the 12 layers only, since a pass over all takes minutes.

A test fails where results differ by more than 1e-5, never for the time: a table is printed. Where a rival
differs on purpose (`tests/peers` says how), what is compared is said at the test.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib
import importlib.util
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.device import Device
from bench.scenarios.merge.scenario import MergeTask
from methods.fusion.fisher_merge import fisher_merge
from methods.fusion.references import average
from methods.fusion.regmean import regmean
from methods.merging import ties as ties_module
from methods.merging.breadcrumbs import breadcrumbs
from methods.merging.dare import dare
from methods.merging.iso import iso_c, iso_cts
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.task_vectors import task_vectors
from methods.merging.ties import ties
from methods.merging.tsv_merge import tsv_merge

LAYERS, FEW_LAYERS, WIDTH, HIDDEN, HEADS, TASKS = 12, 2, 768, 3072, 12, 4
ROUNDS, FEW_ROUNDS, TOLERANCE = 5, 3, 1e-5
ODD_SHARE = 1e-6
"""Share of entries that may differ where a threshold falls between entries of equal magnitude, or one rank higher."""

INSTALLED = [name for name in ("mergekit", "fusion_bench") if importlib.util.find_spec(name) is not None]
"""Asked for once: fusion-bench has no import spec any more when it has been imported."""

State = dict[str, Tensor]
Rivals = dict[str, Callable[[], Callable[[], Any]]]
"""Name -> what readies a call (copies, not timed) and returns it."""

pytestmark = pytest.mark.filterwarnings("ignore")  # the rivals' own


class Network(nn.Module):
    """What is merged, `encoder`, and a head, which is not."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True) for _ in range(layers))
        )
        self.head = nn.Linear(WIDTH, 2)


class Zoo:
    """An initialisation and four experts."""

    def __init__(self, layers: int) -> None:
        generator = torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        self.init = Network(layers).eval().requires_grad_(False)
        self.parents = [copy.deepcopy(self.init) for _ in range(TASKS)]
        for parent in self.parents:
            for p in parent.parameters():
                p.add_(torch.randn(p.shape, generator=generator), alpha=0.01)

    def task(self, **more: Any) -> MergeTask:
        """What a method is given; `more` are statistics."""
        given = {
            "init": self.init,
            "parents": self.parents,
            "device": torch.device("cpu"),
            "compute": Device(),
            "generator": torch.Generator().manual_seed(2),
            "progress": lambda done, total: None,
        }
        return MergeTask(given | more, {"weights", *more}, "timed")

    def states(self) -> dict[str, State]:
        """The encoders' weights by model name, as mergekit takes them."""
        models = {"base": self.init} | {f"expert-{t}": parent for t, parent in enumerate(self.parents)}
        return {name: model.encoder.state_dict() for name, model in models.items()}

    def pool(self) -> dict[str, nn.Module]:
        """Copies of the encoders, as a fusion-bench algorithm takes (and overwrites) them."""
        models = {"_pretrained_": self.init} | {f"expert-{t}": parent for t, parent in enumerate(self.parents)}
        return {name: copy.deepcopy(model.encoder).requires_grad_(True) for name, model in models.items()}

    def stacks(self) -> dict[str, list[Tensor]]:
        """Weight name -> the experts' tensors."""
        return {
            name: [p.encoder.get_parameter(name) for p in self.parents]
            for name, _ in self.parents[0].encoder.named_parameters()
        }


def state(result: Any) -> State:
    """The encoder's weights in whatever a side returned."""
    if isinstance(result, Network):
        result = result.encoder
    entries = result.state_dict() if isinstance(result, nn.Module) else result
    return {name: value.detach() for name, value in entries.items()}


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo(LAYERS)


@pytest.fixture(scope="module")
def small_zoo() -> Zoo:
    return Zoo(FEW_LAYERS)


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    head = f"{'merge':16} {'who':13} {'median s':>9} {'quartiles':>17} {'ours / theirs':>14} {'by CPU time':>12}"
    sys.stdout.write(
        f"\n\n{TASKS} experts, one thread, {os.cpu_count()} cores; load average at each merge's end\n{head}\n"
    )
    sys.stdout.write("\n".join(rows) + "\n")


@pytest.fixture
def beside(benchmark: Any, table: list[str]) -> Iterator[Callable[..., None]]:
    """`beside(ours, rivals, agree=..., rounds=...)`: compare results, then measure all by turns."""
    threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)

    def measure(
        ours: Callable[[], Any],
        rivals: Rivals,
        agree: dict[str, Callable[[State, State], None]] | None = None,
        rounds: int = ROUNDS,
    ) -> None:
        sides = {"ours": lambda: ours} | {n: r for n, r in rivals.items() if n in INSTALLED}
        if len(sides) == 1:
            pytest.skip(f"not installed: {' nor '.join(rivals)}")
        wall: dict[str, list[float]] = {name: [] for name in sides}
        cpu: dict[str, list[float]] = {name: [] for name in sides}

        def clock(name: str) -> Any:
            call = sides[name]()
            gc.collect()
            with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
                began = time.perf_counter(), time.process_time()
                result = call()
                ended = time.perf_counter(), time.process_time()
            wall[name].append(ended[0] - began[0])
            cpu[name].append(ended[1] - began[1])
            return result

        mine = state(clock("ours"))
        for name in list(sides)[1:]:
            (agree or {}).get(name, close)(mine, state(clock(name)))
        del mine

        def turn() -> None:
            order = list(sides)
            for name in order if len(wall["ours"]) % 2 else order[::-1]:
                clock(name)

        benchmark.pedantic(turn, rounds=rounds)
        report(benchmark, table, *({n: np.array(t[1:]) for n, t in kind.items()} for kind in (wall, cpu)))

    yield measure
    torch.set_num_threads(threads[0])
    numba.set_num_threads(threads[1])


def report(benchmark: Any, table: list[str], wall: dict[str, np.ndarray], cpu: dict[str, np.ndarray]) -> None:
    """Add a row a side to the table, and the ratio to the faster rival to the benchmark's figures."""
    title = benchmark.name.removeprefix("test_")
    for name, seconds in wall.items():
        low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        row = f"{title:16} {name:13} {median:9.3f} {f'{low:.3f} - {high:.3f}':>17}"
        if name != "ours":
            ratio, by_cpu = (float(np.median(k["ours"] / k[name])) for k in (wall, cpu))
            row += f" {ratio:14.3f} {by_cpu:12.3f}"
            benchmark.extra_info[f"ours / {name}"] = ratio
        table.append(row)
    faster = min((name for name in wall if name != "ours"), key=lambda name: np.median(wall[name]))
    table[-1] += f"   faster rival: {faster}; load {os.getloadavg()[0]:.1f}"
    benchmark.extra_info |= {"faster rival": faster, "load": os.getloadavg()}


def differing(mine: State, theirs: State, tolerance: float = TOLERANCE) -> float:
    """Share of entries that differ by more than the tolerance."""
    assert mine.keys() == theirs.keys()
    odd = sum(int((mine[name] - theirs[name]).abs().gt(tolerance).sum()) for name in mine)
    return odd / sum(value.numel() for value in mine.values())


def close(mine: State, theirs: State) -> None:
    assert differing(mine, theirs) == 0


def close_but_few(mine: State, theirs: State) -> None:
    assert differing(mine, theirs) <= ODD_SHARE


def close_but_for_rounding(mine: State, theirs: State) -> None:
    """Decompositions in single precision: a few entries in ten thousand are off by more, none by much."""
    assert differing(mine, theirs) <= 1e-3
    assert differing(mine, theirs, 1e-3) == 0


def alike(zoo: Zoo) -> Callable[[State, State], None]:
    """Other random masks: as many entries untouched, and as large a change of the others, to a part in 500."""
    base = dict(zoo.init.encoder.named_parameters())

    def compare(mine: State, theirs: State) -> None:
        assert mine.keys() == theirs.keys()
        sizes, untouched = [], []
        for side in (mine, theirs):
            change = torch.cat([(side[name] - base[name]).flatten() for name in base])
            sizes.append(float(change.abs().mean(dtype=torch.float64)))
            untouched.append(int((change == 0).sum()))
        assert sizes[1] == pytest.approx(sizes[0], rel=2e-3)
        assert untouched[1] == pytest.approx(untouched[0], rel=2e-3)

    return compare


def mergekit(zoo: Zoo, method: str, base: bool = True, **parameters: Any) -> Callable[[], Callable[[], State]]:
    """Every weight merged by mergekit's method of that name."""

    def ready() -> Callable[[], State]:
        from mergekit.merge_methods import merge_state_dicts

        states = zoo.states()
        if not base:
            states.pop("base")
        return lambda: merge_state_dicts(states, method, base="base" if base else None, parameters=parameters)

    return ready


def algorithm(zoo: Zoo, package: str, name: str, **options: Any) -> Callable[[], Callable[[], nn.Module]]:
    """fusion-bench's algorithm of that name, on copies, since it overwrites its models."""

    def ready() -> Callable[[], nn.Module]:
        from fusion_bench.modelpool import BaseModelPool

        runner = getattr(importlib.import_module(f"fusion_bench.method.{package}"), name)(**options)
        pool = BaseModelPool(zoo.pool())
        return lambda: runner.run(pool)

    return ready


def test_average(beside, zoo):
    def fusion_bench() -> Callable[[], nn.Module]:
        from fusion_bench.method.simple_average import simple_average

        encoders = [parent.encoder for parent in zoo.parents]
        return lambda: simple_average(encoders)

    beside(
        lambda: average(zoo.task()),
        {"mergekit": mergekit(zoo, "linear", base=False, weight=1.0), "fusion_bench": fusion_bench},
    )


def test_task_arithmetic(beside, zoo):
    """The algorithm, since `task_arithmetic_merge` of fusion-bench 0.2.33 raises TypeError on any network."""
    rivals = {
        "mergekit": mergekit(zoo, "task_arithmetic", weight=1.0, **{"lambda": 0.3}),
        "fusion_bench": algorithm(zoo, "task_arithmetic", "TaskArithmeticAlgorithm", scaling_factor=0.3),
    }
    beside(lambda: task_arithmetic(zoo.task()), rivals)


def test_ties(beside, zoo):
    """mergekit trims tensor by tensor: it is compared with our kernel called so. fusion-bench keeps one entry more."""

    def tensor_by_tensor(_: State, theirs: State) -> None:
        base, vectors = zoo.init.state_dict(), task_vectors(zoo.init, zoo.parents)
        mine = {
            name: base[f"encoder.{name}"]
            + ties_module.merge([{name: v[f"encoder.{name}"]} for v in vectors], 0.2)[name]
            for name in theirs
        }
        close_but_few(mine, theirs)

    options = {"scaling_factor": 1.0, "threshold": 0.2, "remove_keys": [], "merge_func": "mean"}
    rivals = {
        "mergekit": mergekit(zoo, "ties", weight=1.0, density=0.2),
        "fusion_bench": algorithm(zoo, "ties_merging", "TiesMergingAlgorithm", **options),
    }
    agree = {"mergekit": tensor_by_tensor, "fusion_bench": close_but_few}
    beside(lambda: ties(zoo.task()), rivals, agree, rounds=FEW_ROUNDS)


def test_dare(beside, zoo):
    """Each with masks of its own; with equal masks they are compared in `tests/peers`."""
    options = {"scaling_factor": 0.3, "sparsity_ratio": 0.5, "only_on_linear_weights": False}
    rivals = {
        "mergekit": mergekit(zoo, "dare_linear", weight=1.0, density=0.5, **{"lambda": 0.3}),
        "fusion_bench": algorithm(zoo, "dare", "DareTaskArithmetic", **options),
    }
    beside(lambda: dare(zoo.task()), rivals, dict.fromkeys(rivals, alike(zoo)))


def test_breadcrumbs(beside, zoo):
    rivals = {"mergekit": mergekit(zoo, "breadcrumbs", weight=1.0, density=0.1, gamma=0.01)}
    beside(lambda: breadcrumbs(zoo.task()), rivals, {"mergekit": close_but_few}, rounds=FEW_ROUNDS)


def test_fisher_merge(beside, zoo):
    """Fisher information of ordinary size, beside which the floors (1e-6) are nothing."""
    generator = torch.Generator().manual_seed(1)
    fishers = [
        {name: 1 + torch.rand(p.shape, generator=generator) for name, p in zoo.init.named_parameters()}
        for _ in zoo.parents
    ]

    def fusion_bench() -> Callable[[], State]:
        from fusion_bench.method.fisher_merging.fisher_merging import merging_with_fisher_weights

        theirs = [{name: f[f"encoder.{name}"] for name in zoo.stacks()} for f in fishers]
        return lambda: merging_with_fisher_weights(zoo.stacks(), theirs, torch.full((TASKS,), 1 / TASKS))

    beside(lambda: fisher_merge(zoo.task(fishers=fishers)), {"fusion_bench": fusion_bench})


def test_regmean(beside, small_zoo):
    zoo, generator = small_zoo, torch.Generator().manual_seed(1)

    def gram(inputs: int) -> Tensor:
        rows = torch.randn(3 * inputs, inputs + 1, generator=generator) + 0.3
        return (rows.T @ rows / len(rows)).double()

    layers = {name: m.in_features for name, m in zoo.init.encoder.named_modules() if isinstance(m, nn.Linear)}
    grams = [{f"encoder.{name}": gram(inputs) for name, inputs in layers.items()} for _ in zoo.parents]

    def fusion_bench() -> Callable[[], State]:
        from fusion_bench.method.regmean.regmean import merging_with_regmean_weights

        theirs = [{name: g[f"encoder.{name}"][:-1, :-1].float() for name in layers} for g in grams]
        return lambda: merging_with_regmean_weights(zoo.stacks(), theirs, reduce_non_diagonal_ratio=0.9)

    beside(lambda: regmean(zoo.task(grams=grams)), {"fusion_bench": fusion_bench}, rounds=FEW_ROUNDS)


def test_tsv_merge(beside, small_zoo):
    rivals = {"fusion_bench": algorithm(small_zoo, "task_singular_vector", "TaskSingularVectorMerging", alpha=1.0)}
    beside(lambda: tsv_merge(small_zoo.task()), rivals, rounds=FEW_ROUNDS)


def test_iso_c(beside, small_zoo):
    rivals = {"fusion_bench": algorithm(small_zoo, "isotropic_merging", "ISO_C_Merge", scaling_factor=1.0)}
    beside(lambda: iso_c(small_zoo.task()), rivals, rounds=FEW_ROUNDS)


def test_iso_cts(beside, small_zoo):
    """The stacked directions are nearly dependent, and theirs are in single precision (in double: `tests/peers`)."""
    options = {"scaling_factor": 1.0, "common_space_fraction": 0.8}
    rivals = {"fusion_bench": algorithm(small_zoo, "isotropic_merging", "ISO_CTS_Merge", **options)}
    agree = {"fusion_bench": close_but_for_rounding}
    beside(lambda: iso_cts(small_zoo.task()), rivals, agree, rounds=FEW_ROUNDS)
