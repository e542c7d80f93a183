"""The kernels of `bench.metrics` beside what a user would pick: same process, taking turns, results compared.

pytest tests/perf/test_metrics_perf.py --benchmark-only -s

A test fails where the results differ, never for the time: the ratio is printed. Sizes are such that the rival takes
0.1 s or more.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.metrics import lira
from bench.metrics.calibration import expected_calibration_error
from bench.metrics.forgetting_quality import CAP, DELTA, REACH, epsilons
from bench.metrics.pairs import agreement_matrix
from bench.metrics.rank_resampling import resampled_ranks
from bench.metrics.ranks import auc, average_ranks, kendall_tau, tpr_at_fpr
from bench.metrics.resampling import bootstrap_difference

TURNS = 5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def beside(benchmark, capsys) -> Callable[..., tuple[Any, Any]]:
    """`beside(ours, rival_name, rival)`: measure both in turns, print, and give both results."""

    def measure(ours: Callable[[], Any], rival_name: str, rival: Callable[[], Any]) -> tuple[Any, Any]:
        results = ours(), rival()  # compiles, and fills the caches of either
        clocks = np.array([[_clock(ours), _clock(rival)] for _ in range(TURNS)])  # [turn, who, wall or processor]
        q = np.quantile(clocks[:, :, 0], [0.25, 0.5, 0.75], axis=0) * 1000
        mine, theirs = np.median(clocks[:, :, 1], axis=0)
        benchmark.extra_info.update({"rival": rival_name, "ratio": q[1, 1] / q[1, 0], "ratio_cpu": theirs / mine})
        with capsys.disabled():
            print(  # noqa: T201 - the figures are what this file is for
                f"\n{benchmark.name}: {q[1, 0]:.1f} ms [{q[0, 0]:.1f}, {q[2, 0]:.1f}]"
                f"  {rival_name}: {q[1, 1]:.1f} ms [{q[0, 1]:.1f}, {q[2, 1]:.1f}]"
                f"  {q[1, 1] / q[1, 0]:.1f} x (processor time: {theirs / mine:.1f} x)"
                f"  load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            )
        benchmark.pedantic(ours, rounds=TURNS)
        return results

    return measure


def _clock(call: Callable[[], Any]) -> tuple[float, float]:
    began = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began[0], time.process_time() - began[1]


@pytest.fixture
def scored(rng):
    """A million scores, as a membership attack on all of a large set would have."""
    positive = rng.random(1_000_000) < 0.5
    return rng.standard_normal(1_000_000) + 0.5 * positive, positive


def test_auc_beside_scikit_learn(beside, scored):
    from sklearn.metrics import roc_auc_score

    mine, theirs = beside(lambda: auc(*scored), "sklearn roc_auc_score", lambda: roc_auc_score(scored[1], scored[0]))
    assert mine == pytest.approx(theirs, abs=1e-12)


def test_tpr_at_fpr_beside_scikit_learn(beside, scored):
    from sklearn.metrics import roc_curve

    def rival() -> float:
        fpr, tpr, _ = roc_curve(scored[1], scored[0], drop_intermediate=False)
        return tpr[fpr <= 0.01].max()

    mine, theirs = beside(lambda: tpr_at_fpr(*scored, 0.01), "sklearn roc_curve", rival)
    assert mine == theirs


def test_average_ranks_beside_scipy(beside, scored):
    from scipy.stats import rankdata

    mine, theirs = beside(lambda: average_ranks(scored[0]), "scipy rankdata", lambda: rankdata(scored[0]))
    assert np.array_equal(mine, theirs)


def test_kendall_tau_beside_scipy(beside, scored, rng):
    from scipy.stats import kendalltau

    a, b = scored[0], scored[0] + rng.standard_normal(len(scored[0]))
    mine, theirs = beside(lambda: kendall_tau(a, b), "scipy kendalltau", lambda: kendalltau(a, b).statistic)
    assert mine == pytest.approx(theirs, abs=1e-12)


def test_kendall_tau_beside_the_loop_over_pairs(beside, rng):
    a, b = rng.integers(0, 500, (2, 3000)).astype(float)

    def loop() -> float:
        signed = tied_a = tied_b = 0
        for i in range(len(a)):
            x, y = np.sign(a[i + 1 :] - a[i]), np.sign(b[i + 1 :] - b[i])
            signed += np.sum(x * y)
            tied_a, tied_b = tied_a + np.sum(x == 0), tied_b + np.sum(y == 0)
        pairs = len(a) * (len(a) - 1) / 2
        return signed / np.sqrt((pairs - tied_a) * (pairs - tied_b))

    mine, theirs = beside(lambda: kendall_tau(a, b), "numpy loop", loop)
    assert mine == pytest.approx(theirs, abs=1e-12)


@pytest.fixture
def calibrated(rng):
    confidence = rng.random(2_000_000)
    return confidence, rng.random(2_000_000) < confidence**1.2


def test_calibration_error_beside_numpy(beside, calibrated):
    confidence, correct = calibrated

    def loop() -> float:
        total = 0.0
        for low in np.arange(15) / 15:
            inside = (confidence > low) & (confidence <= low + 1 / 15)
            total += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
        return total

    mine, theirs = beside(lambda: expected_calibration_error(confidence, correct, 15), "numpy loop over bins", loop)
    assert mine == pytest.approx(theirs, abs=1e-9)


def test_calibration_error_beside_scikit_learn(beside, calibrated):
    from sklearn.calibration import calibration_curve

    confidence, correct = calibrated

    def rival() -> float:
        accuracy, mean = calibration_curve(correct, confidence, n_bins=15)
        count = np.histogram(confidence, bins=15, range=(0, 1))[0]
        return float(count @ np.abs(accuracy - mean)) / len(confidence)

    mine, theirs = beside(
        lambda: expected_calibration_error(confidence, correct, 15), "sklearn calibration_curve", rival
    )
    assert mine == pytest.approx(theirs, abs=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("torchmetrics") is None, reason="torchmetrics is not installed")
def test_calibration_error_beside_torchmetrics(beside, calibrated):
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    confidence, correct = calibrated
    p, y = torch.from_numpy(confidence), torch.from_numpy(correct).long()
    mine, theirs = beside(
        lambda: expected_calibration_error(confidence, correct, 15),
        "torchmetrics",
        lambda: float(binary_calibration_error(p, y, n_bins=15)),
    )
    assert mine == pytest.approx(theirs, abs=1e-5)


@pytest.fixture
def predictions(rng):
    truth = rng.integers(0, 10, 10_000)
    wrong = rng.random((200, 10_000)) < 0.2
    return np.where(wrong, rng.integers(0, 10, wrong.shape), truth)


def test_agreement_beside_numpy(beside, predictions):
    def loop() -> np.ndarray:
        out = np.ones((len(predictions), len(predictions)))
        for i in range(len(predictions)):
            for j in range(i):
                out[i, j] = out[j, i] = (predictions[i] == predictions[j]).mean()
        return out

    mine, theirs = beside(lambda: agreement_matrix(predictions), "numpy loop over pairs", loop)
    assert np.array_equal(mine, theirs)


def test_agreement_beside_scikit_learn(beside, predictions):
    from sklearn.metrics import pairwise_distances

    mine, theirs = beside(
        lambda: agreement_matrix(predictions),
        "sklearn pairwise hamming",
        lambda: 1 - pairwise_distances(predictions, metric="hamming"),
    )
    assert mine == pytest.approx(theirs, abs=1e-12)


def right_answers(rng, rows: int, seeds: int, examples: int) -> np.ndarray:
    """bool [rows, seeds, examples]: rows that mostly agree, as networks do."""
    easy = rng.random(examples) < 0.7
    return easy ^ (rng.random((rows, seeds, examples)) < 0.15)


def test_bootstrap_beside_scipy(beside, rng):
    from scipy.stats import bootstrap

    a, b = right_answers(rng, 2, 1, 2000)
    x, y = a[0].astype(float), b[0].astype(float)

    def rival() -> np.ndarray:
        found = bootstrap(
            (x, y),
            lambda x, y, axis: (x - y).mean(axis),
            paired=True,
            vectorized=True,
            method="percentile",
            n_resamples=10_000,
            batch=500,
            rng=np.random.default_rng(1),
        )
        return np.array(found.confidence_interval)

    mine, theirs = beside(lambda: bootstrap_difference(a, b, seed=0), "scipy bootstrap", rival)
    assert [mine.low, mine.high] == pytest.approx(theirs, abs=0.06 * (theirs[1] - theirs[0]))


def test_bootstrap_over_seeds_and_examples_beside_numpy(beside, rng):
    a, b = right_answers(rng, 2, 3, 2000)
    difference = a.astype(float) - b

    def loop() -> np.ndarray:
        # The same law, written down plainly: see the head of bench/metrics/resampling.py.
        x, draws, local = difference, 10_000, np.random.default_rng(1)
        by_example, by_seed = x.mean(0), x.mean(1)
        rest = x - by_example - by_seed[:, None] + x.mean()
        share = (rest**2).sum() / (2 * 1999) / (3 * by_example.var(ddof=1))
        error = by_seed.std(ddof=1) / np.sqrt(3)
        means = np.empty(draws)
        for d in range(draws):
            drawn = by_example[local.integers(0, 2000, 2000)].mean() - x.mean()
            means[d] = x.mean() + np.sqrt(max(0.0, 1 - share)) * drawn + error * local.standard_t(2)
        return np.quantile(means, [0.025, 0.975])

    mine, theirs = beside(lambda: bootstrap_difference(a, b, seed=0), "numpy loop", loop)
    assert [mine.low, mine.high] == pytest.approx(theirs, abs=0.08 * (theirs[1] - theirs[0]))


def test_rank_resampling_beside_numpy(beside, rng):
    x = right_answers(rng, 12, 1, 2000)
    sums = x[:, 0].astype(float)

    def loop() -> np.ndarray:
        local, first = np.random.default_rng(1), np.zeros(12)
        for _ in range(1000):
            score = sums[:, local.integers(0, 2000, 2000)].mean(1)
            best = score == score.max()
            first += best / best.sum()
        return first / 1000

    mine, theirs = beside(lambda: resampled_ranks(x, seed=0), "numpy loop", loop)
    assert mine.first == pytest.approx(theirs, abs=0.08)


def test_lira_over_targets_beside_numpy(beside, rng):
    """U-LiRA's repetition: each of 32 models attacked with the 31 others, on 1,400 examples."""
    models, examples = 32, 1400
    seen = rng.permuted(np.repeat(np.arange(models)[:, None] < models // 2, examples, 1), axis=0)
    phi = rng.normal(size=(models, examples)) + 1.0 * seen

    def law(values: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, float]:
        parted = np.where(side, values, np.nan)
        squares = np.nansum((parted - np.nanmean(parted, 0)) ** 2)
        return np.nanmedian(parted, 0), np.sqrt(squares / (side.sum() - examples))

    def loop() -> list[float]:
        found = []
        for t in range(models):
            others, known = np.delete(phi, t, 0), np.delete(seen, t, 0)
            (out, wide_out), (in_, wide_in) = law(others, ~known), law(others, known)
            ratio = ((phi[t] - out) / wide_out) ** 2 / 2 - ((phi[t] - in_) / wide_in) ** 2 / 2
            ranks = ratio.argsort().argsort() + 1
            positives = seen[t].sum()
            above = ranks[seen[t]].sum() - positives * (positives + 1) / 2
            found.append(above / (positives * (examples - positives)))
        return found

    mine, theirs = beside(lambda: lira.over_targets(phi, seen), "numpy loop", loop)
    assert mine == pytest.approx(theirs, abs=1e-3)


def test_epsilons_beside_numpy(beside, rng):
    """The challenge's privacy loss: 32 unlearned and 32 retrained models, 400 examples, each rule at once."""
    unlearned, retrained = rng.normal(size=(32, 400)) + 0.7, rng.normal(size=(32, 400))

    def best(positives: np.ndarray, negatives: np.ndarray, called, allowed: np.ndarray) -> float:  # type: ignore[no-untyped-def]
        fnr, fpr = 1 - called(positives).mean(-1)[allowed], called(negatives).mean(-1)[allowed]
        if ((fnr == 0) & (fpr == 0)).any():
            return np.inf
        both = (fnr > 0) & (fpr > 0)
        fnr, fpr = fnr[both], fpr[both]
        return np.log(np.maximum((1 - DELTA - fpr) / fnr, (1 - DELTA - fnr) / fpr)).max(initial=0.0)

    def one(a: np.ndarray, b: np.ndarray) -> float:
        high, low = (a, b) if np.median(a) >= np.median(b) else (b, a)
        values = np.unique(np.concatenate([a, b]))
        cuts = np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])
        found = best(high, low, lambda x: x >= cuts[:, None], np.ones(len(cuts), bool))
        narrow, wide = (low, high) if np.ptp(high) >= np.ptp(low) else (high, low)
        below, above = np.append(-np.inf, values), np.append(values, np.inf)
        first, last = np.maximum(below, narrow.max() - REACH), np.minimum(above, narrow.max() + REACH)
        width = np.ptp(narrow)
        left, right = cuts[:, None], cuts[None, :]
        allowed = (left < right) & (first <= last)[None, :]
        allowed &= above[:, None] >= (first - width - REACH)[None, :]
        allowed &= below[:, None] < (last - width + REACH)[None, :]
        inside = best(narrow, wide, lambda x: (x >= left[..., None]) & (x <= right[..., None]), allowed)
        return min(CAP, max(found, inside))

    def loop() -> list[float]:
        return [one(a, b) for a, b in zip(unlearned.T, retrained.T, strict=True)]

    mine, theirs = beside(lambda: epsilons(unlearned, retrained), "numpy", loop)
    np.testing.assert_allclose(mine, theirs, rtol=1e-9)
