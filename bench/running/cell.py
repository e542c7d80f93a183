"""One cell, from prepared scenario to record. This is what runs inside a worker process."""

from __future__ import annotations

import base64
import ctypes
import gc
import math
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import environment, registry
from bench.clock import clock
from bench.device import Device
from bench.draws import seed_of
from bench.errors import BadResult, BenchError, DataError, MethodError, Skip
from bench.records import png
from bench.records.provenance import provenance
from bench.records.record import Record, pack
from bench.running import tuning
from bench.running.cell_code import values
from bench.running.noticing import noticed
from bench.running.plan import Cell, StandardModel
from bench.scenarios import Score, Situation

if TYPE_CHECKING:
    from bench.lab import Lab
    from bench.method_process.launcher import Server
    from bench.registry import Scenario
    from bench.task.meter import Costs
    from bench.task.observer import Observer


@dataclass(frozen=True)
class Job:
    """A cell and where to compute it; small enough to travel to a worker."""

    cell: Cell
    suite: str
    profile: str
    device: Device
    zoo_root: Path


@dataclass(frozen=True)
class ZooJob:
    """A standard model to train ahead of the cells."""

    key: str
    model: StandardModel
    device: Device
    zoo_root: Path


def run_cell(job: Job, progress: Callable[[int, int], None], server: Server | None = None) -> Record:
    """Run one cell. Whatever its method does becomes a record: `ok`, `skipped` or `failed` with the reason.

    Args:
        job: the cell.
        progress: told how far it is.
        server: forks the processes in which methods run; without one they run here, and nothing is enforced (tests).
    """
    from bench.task.meter import Costs

    started, began = datetime.now(UTC), time.perf_counter()
    seen: dict[str, Any] = {"costs": Costs().as_data(), "params": job.cell.row.params}
    score, reason = Score({}), None
    status: Literal["ok", "failed", "skipped"] = "ok"
    try:
        params, trials = tune(job, progress, server) if job.cell.row.search else (job.cell.row.params, {})
        score, found = compute(job, params, progress, server)
        seen |= found
        for field, more in trials.items():
            seen[field] = seen.get(field, {}) | more
    except Skip as skip:
        status, reason = "skipped", str(skip) or "it does not say why"
    except BenchError as error:
        status, reason = "failed", str(error) if isinstance(error, MethodError) else f"{type(error).__name__}: {error}"
    except BaseException as error:  # whatever goes wrong in a cell is that row's result, and only that row's
        status, reason = "failed", f"{told(error)} ({_where(error)})"
    metrics, examples = score.metrics, {name: pack(bits) for name, bits in score.correct.items()}
    seconds, canary = round(time.perf_counter() - began, 3), environment.canary()
    missing = () if server is None else server.missing
    return record_of(job, started, status, reason, seconds, canary, missing, metrics=metrics, examples=examples, **seen)


def record_of(
    job: Job,
    started: datetime,
    status: Literal["ok", "failed", "skipped"],
    reason: str | None,
    seconds: float | None = None,
    canary: str | None = None,
    missing: Sequence[str] = (),
    **seen: Any,
) -> Record:
    """The record of a cell: what was asked and where it was computed, and what was seen.

    Args:
        started: when.
        seconds: how long it took; None where nobody knows.
        canary: of the process that computed it; None where none did.
        missing: walls that were not around its method, in sentences.
        seen: further fields of the record.
    """
    cell = job.cell
    return Record(
        key=cell.key,
        suite=job.suite,
        profile=job.profile,
        scenario=cell.scenario.name,
        kind=cell.scenario.kind,
        method=cell.row.method,
        label=cell.row.label,
        seed=cell.seed,
        status=status,
        reason=reason and reason.encode(errors="backslashreplace").decode(),  # letters that no file can hold
        data=cell.data_identity,
        provenance=provenance()
        | {
            "device": job.device.name,
            "precision": job.device.precision,
            "threads": job.device.threads,
            "environment": environment.kind(job.device.name),
            **({} if canary is None else {"canary": canary}),
            **({"walls_missing": list(missing)} if missing else {}),
            "started": started.isoformat(timespec="seconds"),
            "seconds": seconds,
        },
        asked=cell.asked,
        digests=values(cell.digests),
        **seen,
    )


def train_standard_model(job: ZooJob, progress: Callable[[int, int], None]) -> None:
    """Have one standard model in the zoo."""
    from bench.data import load
    from bench.models.zoo import Zoo

    spec, settings = job.model.spec, job.model.settings
    dataset = load(spec.data)
    if settings is not None:
        dataset = settings.training_data(spec, dataset)
    Zoo(job.zoo_root, job.device, progress=lambda _, done, total: progress(done, total)).load(spec, dataset)


def lab_of(job: Job) -> Lab:
    """Data, zoo and draws of a cell. Raises DataError where the data changed since the run began."""
    from bench.data import load
    from bench.lab import Lab
    from bench.models.zoo import Zoo

    dataset = load(job.cell.setup.data)
    if dataset.fingerprint != job.cell.setup.fingerprint:
        raise DataError(f"{dataset.name} changed on disk since the run began; start the run again")
    return Lab(job.cell.setup, dataset, Zoo(job.zoo_root, job.device), job.device)


def compute(
    job: Job, params: dict[str, Any], progress: Callable[[int, int], None], server: Server | None = None
) -> tuple[Score, dict[str, Any]]:
    """The score of the cell's method with these parameters, and further fields of its record.

    Returns:
        The score, and `costs`, `params`, `weights` and what observers saw: `curves` and `pictures`.
    """
    from bench.method_process.forms import classes_of
    from bench.running import kept

    cell, lab = job.cell, lab_of(job)
    situation = cell.scenario.settings.prepare(lab)
    with ExitStack() as runs:
        told = part_of(progress, 0, 1 + len(situation.repeats))
        result, costs, given = _run_method(job, lab, situation, params, told, server, runs)
        repeated: list[Costs] = []
        if situation.repeats:
            situation, repeated = _with_repeats(job, lab, situation, params, progress, server, runs)
        kept.keep(cell.key, values(cell.digests), _to_keep(situation, result), classes_of(given.values()))
        score, marks = scored(cell, situation, result, lab, given)
    spent = costs.as_data() | situation.costs
    if repeated:
        spent["repeat_seconds"] = round(sum(one.seconds for one in repeated), 3)
    weights = {role: lab.sha256(spec) for role, spec in sorted(cell.specs.items())}
    return score, observed(situation.observers, spent) | {"params": params, "weights": weights, "noticed": marks}


def scored(
    cell: Cell, situation: Situation, result: object, lab: Lab, given: Mapping[str, Any]
) -> tuple[Score, list[str]]:
    """The score of a result, and what is to be marked of it.

    Raises:
        BadResult: it cannot be judged.
    """
    marks = noticed(result, given, situation.size)
    score = cell.scenario.settings.score(situation, result, lab)
    broken = sorted(name for name, value in score.metrics.items() if not math.isfinite(value))
    if broken:
        raise BadResult(f"metrics {', '.join(broken)} are not finite")
    return score, marks


def _to_keep(situation: Situation, result: object) -> dict[str, Any]:
    """What a later score needs of this run."""
    told = [observer.to_keep() if hasattr(observer, "to_keep") else None for observer in situation.observers]
    return {"result": result, "repeated": list(situation.repeated), "observers": told}


def _with_repeats(
    job: Job,
    lab: Lab,
    situation: Situation,
    params: dict[str, Any],
    progress: Callable[[int, int], None],
    server: Server | None,
    runs: ExitStack,
) -> tuple[Situation, list[Costs]]:
    """The situation with what the method returns on each of its `repeats` as `repeated`, and what each cost.

    A repeat (U-LiRA attacks with the method's results on shadow models) costs the method nothing.

    Raises:
        BenchError: the method raises on one of them, or says that it does not apply; it tells which.
    """
    repeats, found = situation.repeats, []
    for number, providers in enumerate(repeats):
        draws = seed_of("repeat", number, job.cell.draws)
        told = part_of(progress, 1 + number, 1 + len(repeats))
        own = replace(situation, providers=providers)
        try:
            found.append(_run_method(job, lab, own, params, told, server, runs, draws)[:2])
        except Exception as error:
            what = (
                str(error) if isinstance(error, MethodError) else f"{type(error).__name__}: {error} ({_where(error)})"
            )
            raise BenchError(f"repeat {number + 1} of {len(repeats)}: {what}") from error
    return replace(situation, repeated=tuple(result for result, _ in found)), [costs for _, costs in found]


def part_of(progress: Callable[[int, int], None], number: int, runs: int) -> Callable[[int, int], None]:
    """The progress of one of several equal runs, told as that of all."""
    return lambda done, total: progress(number * total + done, runs * total)


def _run_method(
    job: Job,
    lab: Lab,
    situation: Situation,
    params: dict[str, Any],
    progress: Callable[[int, int], None],
    server: Server | None,
    runs: ExitStack,
    draws: int | None = None,
) -> tuple[Any, Costs, dict[str, Any]]:
    """As `run_method`, of the cell's method; `draws` in place of its seed.

    The result may ask the method's process for predictions until `runs` is closed, and the costs grow by them.
    """
    cell = job.cell
    seed = cell.draws if draws is None else draws
    return run_method(
        cell.row.method,
        cell.access,
        registry.SCENARIOS.get(cell.scenario.kind),
        situation,
        lab,
        params,
        seed,
        progress,
        server,
        runs,
    )


def run_method(
    method: str,
    access: frozenset[str],
    kind: Scenario,
    situation: Situation,
    lab: Lab,
    params: dict[str, Any],
    seed: int,
    progress: Callable[[int, int], None],
    server: Server | None,
    runs: ExitStack,
) -> tuple[Any, Costs, dict[str, Any]]:
    """Run a method on a task of this situation: by a server in a process of its own, else here.

    Args:
        method: its name.
        access: what it declares, which decides the providers that are called; they are charged to it.
        kind: of the scenario.
        situation: prepared.
        lab: of the cell.
        params: the method's.
        seed: of the method's draws.
        progress: called as progress(done, total).
        server: forks its process; None to run it in this one.
        runs: closes the process.

    Returns:
        What it returned, what it cost until then, and what it was given: attribute of its task -> the judge's copy.

    Raises:
        AccessDenied: it declares an access that this kind of scenario does not know.
        BenchError: a model that is given is broken.
        Skip: it does not apply.
        MethodError: it raised, in a process of its own.
    """
    from bench.method_process.child import Errand, draws, task_of
    from bench.method_process.host import Run
    from bench.task.black_box import BlackBox
    from bench.task.meter import Costs, counted, metered, models_in

    seed_everything(seed)
    if server is None:
        give_back_freed_memory()
    costs, device = Costs(), lab.device
    with counted(costs, {}), metered(costs, device.torch):
        given = granted(kind, method, access, situation, lab)
    costs.samples = dict.fromkeys((name for key, value in given.items() for name, _ in models_in(key, value)), 0)
    errand = Errand(method, kind.kind, params, given, seed, device, draws())
    if server is None:
        with metered(costs, device.torch), counted(costs, given):
            result = registry.METHODS.get(method).function(task_of(errand, progress), **params)
        return result, costs, given  # before scoring sends test images through a returned model
    run = runs.enter_context(Run(server, errand, costs, progress))
    boxes = {name: value for name, value in given.items() if isinstance(value, BlackBox)}
    with counted(costs, boxes):
        return run.result(), costs, given


def granted(kind: Scenario, method: str, access: frozenset[str], situation: Situation, lab: Lab) -> dict[str, Any]:
    """Attribute of the task -> value, of all that a method's access opens of the situation.

    Raises:
        AccessDenied: it declares an access that this kind of scenario does not know.
        BenchError: a model that is given is broken.
    """
    from bench.task.task import opened

    common = {"num_classes": lambda: lab.setup.num_classes, "input_shape": lambda: lab.dataset.shape}
    return opened(kind.task, common | dict(situation.providers), access, method)


def tune(
    job: Job, progress: Callable[[int, int], None], server: Server | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row's parameters, those of its search chosen on the validation split, and what the record keeps of that."""
    cell, lab = job.cell, lab_of(job)
    kind = registry.SCENARIOS.get(cell.scenario.kind)
    settings = cell.scenario.settings
    held_out = replace(lab, dataset=replace(lab.dataset, test=lab.dataset.validation))
    situation = settings.prepare(held_out)

    now = clock(job.device.torch.type == "cuda")
    began, apart = now(), []
    choice = getattr(settings, "choice", None) or _by_headline(kind, settings)

    def score(params: dict[str, Any]) -> float:
        with ExitStack() as runs:
            own = cell.row.params | params
            result, costs, _ = _run_method(job, held_out, situation, own, lambda _done, _total: None, server, runs)
            if server is not None:
                apart.append(costs)
            return float(choice(situation, result, held_out))

    chosen = tuning.choose(
        cell.row.search,
        cell.scenario.trials,
        score,
        first=cell.row.params,
        seed=cell.draws,
        higher_is_better=kind.higher_is_better,
        progress=progress,
    )
    seconds = now() - began + sum(costs.seconds for costs in apart)
    costs = {"tuning_seconds": round(seconds, 3), "trials": cell.scenario.trials}
    return cell.row.params | chosen.params, {"costs": costs, "curves": {"validation": chosen.best_so_far}}


def _by_headline(kind: Scenario, settings: Any) -> Callable[[Situation, object, Lab], float]:
    """What a search goes by, where the scenario has no `choice` of its own."""
    return lambda situation, result, lab: settings.score(situation, result, lab).metrics[kind.headline]


def observed(observers: Iterable[Observer], spent: Mapping[str, Any]) -> dict[str, Any]:
    """A record's `costs`, `curves` and `pictures`, out of what the method spent and its observers saw.

    Args:
        observers: of the situation.
        spent: the costs that are known without them.

    Raises:
        BenchError: two tell a thing of one name, which would be lost.
    """
    seen: dict[str, dict[str, Any]] = {"costs": dict(spent), "curves": {}, "pictures": {}}
    for observer in observers:
        sheets = {name: png.encode(png.grid(images.numpy())) for name, images in observer.pictures().items()}
        told: dict[str, Mapping[str, Any]] = {
            "costs": observer.costs(spent),
            "curves": observer.curves(),
            "pictures": {name: base64.b64encode(sheet).decode() for name, sheet in sheets.items()},
        }
        for field, found in told.items():
            if twice := sorted(seen[field].keys() & found.keys()):
                who = type(observer).__name__
                raise BenchError(f"{who} tells {field} {', '.join(twice)}, which are there already; rename one")
            seen[field] |= found
    return seen


def seed_everything(seed: int) -> None:
    """Seed torch, numpy and random, so that a method may draw as usual."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - methods may use the global generator
    torch.manual_seed(seed)


def give_back_freed_memory() -> None:
    """Let the resident memory of this process fall to what is in use, so that what a method adds to it can be seen.

    malloc keeps what earlier cells freed, and the next one would seem to need nothing. Only glibc can be told to.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def told(error: BaseException) -> str:
    """An exception in a line, though it be one that cannot say what it is."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return f"{type(error).__name__} (which has no message)"


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename] or list(frames)
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "unknown place"
