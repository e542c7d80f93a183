"""What must come out on real data, over seeds: merging helps the initialisation, and experts stay ahead."""

from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.data import identify, load
from bench.data.spec import DataSpec
from bench.device import Device
from bench.lab import Lab, Setup
from bench.models.spec import Architecture
from bench.models.zoo import Zoo
from bench.running.cell import seed_everything
from bench.scenarios.merge.scenario import Merge, MergeTask
from bench.schema.recipe import Recipe
from bench.task.task import grant

DATA = DataSpec(name="digits")
RECIPE = Recipe(epochs=20, batch_size=32, optimizer="adamw", peak_lr=3e-3, augment="shift")
MODELS = {"mlp": Architecture(arch="mlp", options={"width": 64, "depth": 2})}
SETTINGS = Merge(base="mlp", parts=2, fine_tune=RECIPE, sample=128)
ROWS = {
    "initialisation": {},
    "average": {},
    "ties": {},
    "axis": {},
    "axis-stage-1": {"stage2": False},
    "experts": {},
}


def lab_of(seed: int, zoo: Path) -> Lab:
    identity = identify(DATA)
    setup = Setup(identity.spec, identity.fingerprint, len(identity.classes), MODELS, RECIPE, seed)
    return Lab(setup, load(DATA), Zoo(zoo, Device()), Device())


@pytest.fixture(scope="module")
def accuracy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Row -> mean test accuracy over three seeds."""
    registry.discover()
    zoo = tmp_path_factory.mktemp("zoo")
    found: dict[str, list[float]] = {row: [] for row in ROWS}
    for seed in range(3):
        lab = lab_of(seed, zoo)
        situation = SETTINGS.prepare(lab)
        for row, params in ROWS.items():
            method = registry.METHODS.get(row.removesuffix("-stage-1"))
            common = {
                "device": lambda lab=lab: lab.device.torch,
                "compute": lambda lab=lab: lab.device,
                "generator": lambda lab=lab: lab.generator("test"),
                "progress": lambda: lambda done, total: None,
            }
            seed_everything(seed)
            task = grant(MergeTask, common | dict(situation.providers), method.access, row)
            score = SETTINGS.score(situation, method.function(task, **params), lab)
            found[row].append(score.metrics["accuracy"])
    return {row: float(np.mean(values)) for row, values in found.items()}


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ("initialisation", "average"),
        ("average", "experts"),
        ("ties", "experts"),
        ("initialisation", "ties"),
        ("axis-stage-1", "axis"),
    ],
)
def test_ordering(accuracy, worse, better):
    assert accuracy[worse] < accuracy[better], accuracy
