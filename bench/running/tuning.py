"""Choosing a row's hyperparameters on validation data: so many trials for each row, by Optuna's TPE.

The test split is never in reach: a trial is the whole scenario, prepared and scored on the validation split instead.
The row's own values are the first trial, so that a tuned row is at least as good on validation as the default one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, Skip
from bench.schema.search import Choices, Range, Search


@dataclass(frozen=True)
class Chosen:
    """What came of it."""

    params: dict[str, Any]
    """The hyperparameters of the best trial; of equal ones the earliest."""
    best_so_far: list[tuple[float, float]]
    """(share of the trials, highest validation score until then); failed first trials are left out."""


def choose(
    search: Search,
    trials: int,
    score: Callable[[dict[str, Any]], float],
    *,
    first: Mapping[str, Any],
    seed: int,
    higher_is_better: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Chosen:
    """Try `trials` settings and return the best.

    Args:
        search: where to look.
        trials: how often `score` is called.
        score: hyperparameters -> score on validation data. A trial that raises counts as one without a score.
        first: what the first trial takes, where it lies inside of `search`.
        seed: of the sampler.
        higher_is_better: whether scores are good when high.
        progress: called as progress(trials done, trials).

    Raises:
        BenchError: no trial gave a score; it tells what the last one raised.
        Skip: the method does not apply.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed % 2**32)
    study = optuna.create_study(direction="maximize" if higher_is_better else "minimize", sampler=sampler)
    if all(name in first and first[name] in where for name, where in search.items()):
        study.enqueue_trial({name: first[name] for name in search})
    sign = 1 if higher_is_better else -1
    best: tuple[float, dict[str, Any]] | None = None
    curve: list[tuple[float, float]] = []
    fault: Exception | None = None
    for number in range(1, trials + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # optuna's own, about choices that are not numbers
            trial = study.ask()
            params = {name: _suggest(trial, name, where) for name, where in search.items()}
        try:
            value = score(params)
        except Skip:
            raise
        except Exception as error:  # settings that a method cannot bear are a finding of the search, not its end
            fault = error
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, value)
            if best is None or sign * value > sign * best[0]:
                best = (value, params)
        if best is not None:
            curve.append((round(number / trials, 6), best[0]))
        if progress is not None:
            progress(number, trials)
    if best is None:
        raise BenchError(f"none of {trials} trials gave a score; the last raised {type(fault).__name__}: {fault}")
    return Chosen(best[1], curve)


def _suggest(trial: Any, name: str, where: Range | Choices) -> Any:
    if not isinstance(where, Range):
        return trial.suggest_categorical(name, list(where))
    if isinstance(where.low, int) and isinstance(where.high, int):
        return trial.suggest_int(name, where.low, where.high, log=where.log)
    return trial.suggest_float(name, where.low, where.high, log=where.log)
