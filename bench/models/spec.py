"""A standard model as data: everything that decides its weights. Its digest is its place in the zoo."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.data.spec import DataSpec, Rows
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings


class Architecture(Settings):
    """`[models.NAME]` of a suite: which network, and how it is trained."""

    arch: str
    """resnet8, resnet14, resnet20, vgg, mlp, vit, or `package.module:factory` of your own."""
    options: dict[str, int | float | str | bool] = Field(default_factory=dict)
    """Keyword arguments of the architecture: width, norm, depth ..."""
    recipe: Recipe | None = None
    """Replaces the suite's recipe for this model."""
    weights: str | None = None
    """A file of your own, in place of training: safetensors, or torch read with weights_only. Relative to the suite."""
    init: str | None = None
    """Another model of the suite that training starts from."""


class ModelSpec(Settings):
    """One trained network of the zoo. Equal specs are the same network."""

    arch: str
    options: dict[str, int | float | str | bool] = Field(default_factory=dict)
    num_classes: int
    data: DataSpec
    fingerprint: str
    """Of the data set that is really used (the stand-in's, if it stands in)."""
    data_code: str = ""
    """Where a scenario makes the training data itself: digest of the code that does. It decides the place in the zoo,
    and is in no key."""
    rows: Rows = Rows()
    """The training rows it sees."""
    relabel: tuple[int, ...] = ()
    """New label of each old class (task heads); () keeps the labels."""
    recipe: Recipe
    seed: int
    role: str = "model"
    """Two networks that differ in nothing else, e.g. parent-0 and parent-1, differ in this."""
    init_role: str | None = None
    """Role whose initialisation is drawn in place of its own (parents from one initialisation)."""
    init: ModelSpec | None = None
    """Training starts from this network's weights."""
    head: Literal["trained", "class-means"] = "trained"
    """`class-means`: set before training from means and variance of the features (nearest mean wins), and frozen."""
    weights: str | None = None
    """A file of the user's own: not trained at all."""
    weights_sha256: str | None = None

    def describe(self) -> str:
        """A short name for progress lines, e.g. `resnet8 parent-0 seed 1`."""
        return f"{self.arch} {self.role} seed {self.seed}"


def as_data(spec: Settings) -> dict[str, Any]:
    """JSON-ready dict of a spec without its defaults, in a canonical order."""
    return spec.model_dump(mode="json", exclude_defaults=True)
