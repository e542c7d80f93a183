"""What a scenario works with: data, standard models, device, and random draws by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.draws import seed_of
from bench.models.spec import Architecture, ModelSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.data.spec import Dataset, DataSpec, Images, Rows
    from bench.device import Device
    from bench.models.zoo import Zoo
    from bench.schema.recipe import Recipe


@dataclass(frozen=True)
class Setup:
    """The suite's side of a scenario: enough to *name* its standard models, without loading anything."""

    data: DataSpec
    fingerprint: str
    num_classes: int
    models: dict[str, Architecture]
    recipe: Recipe
    seed: int

    def spec(
        self,
        model: str,
        role: str,
        *,
        rows: Rows | None = None,
        recipe: Recipe | None = None,
        init: ModelSpec | None = None,
        init_role: str | None = None,
        num_classes: int | None = None,
        relabel: tuple[int, ...] = (),
        head: str = "trained",
    ) -> ModelSpec:
        """The spec of suite model `model` in this role and seed. Raises SuiteError for an unknown name."""
        from bench.errors import SuiteError, near_miss

        if model not in self.models:
            raise SuiteError(f"unknown model {model!r}{near_miss(model, self.models)}")
        entry = self.models[model]
        base = init or (self.spec(entry.init, role) if entry.init else None)
        return ModelSpec.model_validate(
            {
                "arch": entry.arch,
                "options": entry.options,
                "num_classes": self.num_classes if num_classes is None else num_classes,
                "data": self.data,
                "fingerprint": self.fingerprint,
                **({"rows": rows} if rows is not None else {}),
                "relabel": relabel,
                "recipe": recipe or entry.recipe or self.recipe,
                "seed": self.seed,
                "role": role,
                "init_role": init_role,
                "init": base,
                "head": head,
                "weights": entry.weights,
                "weights_sha256": None,
            }
        )


@dataclass(frozen=True)
class Lab:
    """Given to `prepare` and `score`: the loaded data set, the zoo, and generators by name."""

    setup: Setup
    dataset: Dataset
    zoo: Zoo
    device: Device

    def model(self, spec: ModelSpec) -> nn.Module:
        """A fresh copy of a standard model on the device, in eval mode; trained now if the zoo lacks it."""
        return self.zoo.load(spec, self.dataset).to(self.device.torch).eval()

    def sha256(self, spec: ModelSpec) -> str:
        """The hash of a standard model's weights; trained now if the zoo lacks it."""
        if not self.zoo.has(spec):
            self.model(spec)
        return self.zoo.sha256(spec)

    def fresh(self, model: str, role: str, num_classes: int | None = None) -> nn.Module:
        """An untrained network of suite model `model`, the same for every method of this seed."""
        from bench.models import build

        entry = self.setup.models[model]
        classes = self.setup.num_classes if num_classes is None else num_classes
        seed = seed_of("fresh", role, self.setup.seed)
        return build(entry.arch, entry.options, classes, self.dataset, seed=seed).to(self.device.torch)

    def data(self, name: str) -> Images:
        """Another data set of images at this one's shape (a proxy)."""
        from bench.data import load_like

        return load_like(name, self.dataset)

    def generator(self, *axes: object) -> torch.Generator:
        """A CPU generator that depends on these names and the seed only."""
        import torch

        return torch.Generator().manual_seed(seed_of(*axes, self.setup.seed))
