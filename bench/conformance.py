"""The conformance kit: what every method must do, ours or yours, tried on tiny models and made-up images.

A scenario takes part by a class attribute `tiny`, its smallest sensible settings, in which it may name the
models `net` and `wide` of the kit. Whole-numbered hyperparameters (epochs, steps, sizes) are capped, so that
the kit takes seconds; a method has to survive every value that its bounds allow anyway.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import registry
from bench.data.spec import DataSpec, Images, Split
from bench.device import Device
from bench.errors import BenchError, Skip
from bench.lab import Lab, Setup
from bench.method_process.child import Errand, draws, task_of
from bench.method_process.host import Run
from bench.method_process.launcher import Server
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.registry import METHODS, SCENARIOS, Method, Scenario
from bench.running.cell import granted, seed_everything
from bench.running.noticing import noticed
from bench.scenarios import Score, Situation
from bench.schema.recipe import Recipe
from bench.task.meter import Costs
from bench.task.task import Task, needs

CAP = 4
SEED = 7


@dataclass(frozen=True)
class Variant:
    """A world of the kit: class count, image shape, widths."""

    name: str
    num_classes: int
    shape: tuple[int, int, int]
    widths: tuple[int, int]
    """Of `net` and `wide`."""
    arch: str = "resnet8"


VARIANTS = (
    Variant("4 classes, 1x8x8", 4, (1, 8, 8), (4, 8)),
    Variant("6 classes, 3x12x12", 6, (3, 12, 12), (3, 7)),
)


@dataclass(frozen=True)
class Result:
    """One check of one method in one kind of scenario."""

    scenario: str
    check: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class World:
    """A prepared scenario of the kit."""

    kind: Scenario
    settings: Any
    lab: Lab
    situation: Situation


def check_method(name: str, server: Server, only: str | None = None, zoo: Path | None = None) -> Iterator[Result]:
    """Every check of a method, in each kind of scenario that it solves (or in `only`).

    Args:
        name: the method's.
        server: forks the processes in which it runs.
        only: one of its kinds of scenario.
        zoo: folder that keeps the kit's standard models from one method to the next; by default they go at the end.

    Raises:
        BenchError: no method is named so, or a kind has no `tiny` settings.
    """
    registry.discover()
    method = METHODS.get(name)
    with tempfile.TemporaryDirectory(prefix="ktbench-kit-") as folder:
        for kind_name in method.scenarios:
            if only in (None, kind_name):
                yield from _check(method, SCENARIOS.get(kind_name), zoo or Path(folder), server)


def run_inline(name: str) -> Iterator[tuple[str, str]]:
    """Run a method once in the first world of each kind that it solves, in this process and for a debugger.

    Nothing is filed, no process is started, and what the method raises goes through to whoever calls.

    Yields:
        The kind, and the headline or why the method does not apply.

    Raises:
        BenchError: no method is named so, or a kind has no `tiny` settings.
        RuntimeError: from a BenchError of the method (AccessDenied), of which the command line shows no traceback.
    """
    registry.discover()
    method = METHODS.get(name)
    for kind in map(SCENARIOS.get, method.scenarios):
        with tempfile.TemporaryDirectory(prefix="ktbench-kit-") as folder:
            world = prepare(kind, VARIANTS[0], Path(folder))
            task = task_for(method, world)
            seed_everything(SEED)
            try:
                result = method.function(task, **capped(method))
                score = world.settings.score(world.situation, result, world.lab)
            except Skip as skip:
                yield kind.kind, f"does not apply: {skip}"
            except BenchError as error:
                raise RuntimeError(f"{kind.kind}: {type(error).__name__}: {error}") from error
            else:
                yield kind.kind, _headline(kind, score)


def _check(method: Method, kind: Scenario, zoo: Path, server: Server) -> Iterator[Result]:
    ran = []
    for variant in VARIANTS:
        world = prepare(kind, variant, zoo)
        try:
            first = _run(method, world, server)
        except Skip as skip:
            yield Result(kind.kind, f"runs: {variant.name}", True, f"does not apply: {skip}")
            continue
        except Exception as error:
            yield Result(kind.kind, f"runs: {variant.name}", False, f"{type(error).__name__}: {error}")
            continue
        ran.append(variant)
        yield Result(kind.kind, f"runs: {variant.name}", True, _headline(kind, first.score) + _told(first.marks))
        if variant is VARIANTS[0]:
            yield from _same_again(method, world, first, server)
            yield _inputs_untouched(method, kind, first)
            yield _access_used(method, kind, first)
            yield from _access_kept(method, world)
    if not ran:
        yield Result(kind.kind, "applies somewhere", False, "it applies to no world of the kit, so nothing was tested")


@dataclass(frozen=True)
class _Ran:
    score: Score
    changed: tuple[str, ...]
    """Given models whose weights the method changed."""
    read: frozenset[str]
    """Attributes of its task that it read."""
    marks: list[str]
    """What boards would mark of its result (`bench.running.noticing`)."""


def _run(method: Method, world: World, server: Server) -> _Ran:
    seed_everything(SEED)
    given = granted(world.kind, method.name, method.access, world.situation, world.lab)
    kind, device = world.kind.kind, world.lab.device
    errand = Errand(method.name, kind, capped(method), given, SEED, device, draws(), observed=True)
    with Run(server, errand, Costs(), _no_progress) as run:
        result = run.result()
        score = world.settings.score(world.situation, result, world.lab)
    broken = [name for name, value in score.metrics.items() if not np.isfinite(value)]
    if broken:
        raise BenchError(f"metrics {broken} are not finite")
    if strange := [name for name in score.metrics if not world.kind.declares(name)]:
        raise BenchError(f"scenario {kind!r} scores {strange}, which its `metrics` do not declare")
    return _Ran(score, run.changed, run.read, noticed(result, given, world.situation.size))


def _same_again(method: Method, world: World, first: _Ran, server: Server) -> Iterator[Result]:
    second = _run(method, world, server)
    differing = [name for name, value in first.score.metrics.items() if second.score.metrics.get(name) != value]
    differing += [n for n, bits in first.score.correct.items() if not np.array_equal(bits, second.score.correct[n])]
    yield Result(world.kind.kind, "deterministic", not differing, f"differ: {differing}" if differing else "")


def _inputs_untouched(method: Method, kind: Scenario, first: _Ran) -> Result:
    ours = [name for name in first.changed if name != "student"]  # a student is there to be trained
    ok = method.in_place or not ours
    return Result(kind.kind, "inputs untouched", ok, "" if ok else f"it changed {ours}; copy, or declare in_place=True")


def _access_used(method: Method, kind: Scenario, first: _Ran) -> Result:
    table = needs(kind.task)
    idle = sorted(a for a in method.access if not any(a in names and n in first.read for n, names in table.items()))
    return Result(kind.kind, "access is used", not idle, f"declared and never touched: {idle}" if idle else "")


def _access_kept(method: Method, world: World) -> Iterator[Result]:
    task = task_for(method, world)
    table = needs(world.kind.task)
    withheld = [n for n, names in table.items() if names and not set(names) & method.access]
    there = [name for name in withheld if name in vars(task)]
    detail = f"given without access: {there}" if there else f"{len(withheld)} attributes withheld"
    yield Result(world.kind.kind, "the rest is denied", not there, detail)
    leaks = sorted(_leaks(task, withheld, world))
    detail = f"found by walking from the task: {leaks}" if leaks else ""
    yield Result(world.kind.kind, "nothing hides in the task", not leaks, detail)


def _leaks(task: Task, withheld: list[str], world: World) -> set[str]:
    """Withheld attributes whose tensors can be reached from the task, and not through what was granted."""
    hidden = prints(reachable(task)) - prints(vars(task).values())
    leaks = set()
    for name in withheld:
        provider = world.situation.providers.get(name)
        if provider is not None and prints([provider()], above=8) & hidden:
            leaks.add(name)
    return leaks


def reachable(start: object) -> Iterator[object]:
    """Everything reachable by attributes, containers, closures, bound methods and defaults, not by modules' globals."""
    seen: set[int] = set()
    stack = [start]
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, type | types.ModuleType | str | bytes | int | float):
            continue
        seen.add(id(thing))
        yield thing
        stack += list(_next(thing))


def _next(thing: object) -> Iterator[object]:
    if isinstance(thing, Mapping):
        yield from thing.keys()
        yield from thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing
    if isinstance(thing, types.FunctionType):
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _filled(cell))
        yield from thing.__defaults__ or ()
    if isinstance(thing, functools.partial):
        yield from (thing.func, thing.args, thing.keywords)
    yield from (getattr(thing, name) for name in ("__self__", "__func__") if hasattr(thing, name))
    yield from getattr(thing, "__dict__", {}).values()
    for slot in getattr(type(thing), "__slots__", ()):
        if hasattr(thing, slot):
            yield getattr(thing, slot)


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def prints(things: Iterable[object], above: int = 0) -> set[str]:
    """Fingerprints of the tensors of more than `above` entries in these things: tensors, modules and tables of them."""
    return {_fingerprint(tensor) for tensor in _tensors(things) if tensor.numel() > above}


def _tensors(things: Iterable[object]) -> Iterator[Tensor]:
    for thing in things:
        if isinstance(thing, Tensor):
            yield thing
        elif isinstance(thing, nn.Module):
            yield from thing.state_dict().values()
        elif isinstance(thing, list | tuple):
            yield from _tensors(thing)
        elif isinstance(thing, Mapping):
            yield from _tensors(thing.values())


def _fingerprint(tensor: Tensor) -> str:
    content = tensor.detach().cpu().contiguous()
    return f"{tuple(content.shape)} {hashlib.sha256(content.numpy().tobytes()).hexdigest()}"


def task_for(method: Method, world: World) -> Task:
    """The task that a method gets in a world of the kit."""
    seed_everything(SEED)
    given = granted(world.kind, method.name, method.access, world.situation, world.lab)
    return task_of(Errand(method.name, world.kind.kind, {}, given, SEED, world.lab.device, draws()), _no_progress)


def _no_progress(done: int, total: int) -> None:
    """The kit shows no progress, and checks that it is told in whole numbers."""
    if not (isinstance(done, int) and isinstance(total, int)):
        raise BenchError(f"task.progress takes two whole numbers, got {done!r}, {total!r}")


def capped(method: Method) -> dict[str, Any]:
    """A method's default hyperparameters, whole numbers above CAP lowered to it."""
    defaults = registry.parameters(method)().model_dump()
    return {
        name: min(value, CAP) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in defaults.items()
    }


def _headline(kind: Scenario, score: Score) -> str:
    return f"{kind.headline} {score.metrics[kind.headline]:.3f}"


def _told(marks: list[str]) -> str:
    return f"; boards do not rank it, since its result is marked: {', '.join(marks)}" if marks else ""


def prepare(kind: Scenario, variant: Variant, zoo: Path) -> World:
    """A world of the kit, with standard models from the folder `zoo`, trained where it lacks them.

    Raises:
        BenchError: the kind has no `tiny` settings.
    """
    tiny = getattr(kind.settings, "tiny", None)
    if tiny is None:
        raise BenchError(f"scenario {kind.kind!r} has no `tiny` settings; the conformance kit needs them")
    settings: Any = kind.settings.model_validate(dict(tiny))
    dataset = made_up(variant)
    models = {
        name: Architecture(arch=variant.arch, options={"width": width})
        for name, width in zip(("net", "wide"), variant.widths, strict=True)
    }
    setup = Setup(
        data=DataSpec(name="made-up"),
        fingerprint=dataset.fingerprint,
        num_classes=variant.num_classes,
        models=models,
        recipe=Recipe(epochs=2, batch_size=16, peak_lr=0.05, augment="none"),
        seed=SEED,
    )
    device = Device()
    lab = Lab(setup, dataset, Zoo(zoo, device), device)
    return World(kind, settings, lab, settings.prepare(lab))


def made_up(variant: Variant, per_class: int = 16) -> Images:
    """Images of one blurred pattern a class under noise: learnable, and made in a millisecond."""
    draws = np.random.default_rng(variant.num_classes)
    patterns = draws.uniform(40, 215, (variant.num_classes, *variant.shape))

    def split(n: int) -> Split:
        labels = np.repeat(np.arange(variant.num_classes), n)
        noisy = patterns[labels] + draws.normal(0, 30, (len(labels), *variant.shape))
        order = draws.permutation(len(labels))
        images = torch.from_numpy(noisy[order].clip(0, 255).astype(np.uint8))
        return Split(images, torch.from_numpy(labels[order]))

    train = split(per_class)
    pixels = train.inputs.double() / 255
    return Images(
        name="made-up",
        variant="made-up",
        fingerprint=hashlib.sha256(train.inputs.numpy().tobytes()).hexdigest()[:16],
        classes=tuple(f"class {c}" for c in range(variant.num_classes)),
        train=train,
        validation=split(max(2, per_class // 4)),
        test=split(max(2, per_class // 2)),
        mean=tuple(pixels.mean((0, 2, 3)).tolist()),
        std=tuple(pixels.std((0, 2, 3)).tolist()),
    )
