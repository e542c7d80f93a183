"""Fusion: trained networks of one architecture and one label space, to be made into one network.

The network has the shape of the first parent; the others may be of another width (`others`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import model_validator
from torch import Tensor, nn

from bench.data import select
from bench.data.rows import spaced
from bench.data.spec import Rows, Split
from bench.errors import SuiteError
from bench.lab import Lab, Setup
from bench.metrics.metric import Metric
from bench.models.spec import ModelSpec
from bench.models.train import recalibrate
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.fuse.path import BARRIERS, Path, Walk
from bench.scenarios.judging import AGREEMENT, CLASSIFIER, PARAMETERS, agreement, judge_classifier, logits, size
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.task.statistics import diagonal_fisher, gram_matrices
from bench.task.task import Access, Task
from bench.types import Count, Rate

METRICS = (
    *CLASSIFIER,
    AGREEMENT,
    Metric("agreement_parent_#", "%", higher_is_better=True),
    Metric("accuracy_owner_#", "%", higher_is_better=True),
    PARAMETERS,
    *BARRIERS,
)
OPTIONS_OF = {
    "alpha": ("split", "dirichlet"),
    "share": ("split", "personal"),
    "personal_class": ("split", "personal"),
    "base_share": ("start", "shared-base"),
    "base_recipe": ("start", "shared-base"),
    "fine_tune": ("start", "shared-base"),
}
"""Setting -> the setting and value without which it would change nothing."""


class FuseTask(Task):
    """What is given: the parents. `state_dict()` has the same names in all of them and in `student`.

    It has the same shapes, too, but where a board has parents of another width than the first, whose shapes count.
    """

    parents: Annotated[list[nn.Module], Access("weights")]
    """The trained networks, in eval mode, all with a head over all classes."""
    grams: Annotated[list[dict[str, Tensor]], Access("grams")]
    """Per parent, Gram matrices of the inputs of its layers on its owner's images (`bench.task.statistics`)."""
    fishers: Annotated[list[dict[str, Tensor]], Access("fisher")]
    """Per parent, the diagonal Fisher information of its parameters on its owner's images."""
    class_counts: Tensor
    """Training rows of each class that each parent has seen, int64 [parents, num_classes]."""
    unlabeled: Annotated[Tensor, Access("unlabeled")]
    """Some training inputs of all owners together, as stored [N, ...]."""
    inputs: Annotated[Tensor, Access("labels")]
    """All training inputs of all owners, each once, as stored [N, ...]: for joint training."""
    labels: Annotated[Tensor, Access("labels")]
    """Their labels, int64 [N]."""
    validation_inputs: Annotated[Tensor, Access("validation")]
    """Held-out inputs of all classes that no parent has seen, as stored [N, ...]: to choose by, never to train on."""
    validation_labels: Annotated[Tensor, Access("validation")]
    """Their labels, int64 [N]."""
    path: Path
    """Where a method that averages two aligned networks tells them: the harness looks at the line between them."""
    student: nn.Module
    """Where a parent started: an untrained network or, with a shared base, the base. Equal for every row of a seed."""
    recipe: Recipe
    """How each parent was trained from there on its own rows."""


@scenario(
    kind="fuse",
    task=FuseTask,
    metrics=METRICS,
    lower="average",
    upper="ensemble",
    references=(("parent-0", "parent", {"index": 0}), ("parent-1", "parent", {"index": 1})),
    takes=("images", "texts", "tables"),
)
class Fuse(Settings):
    """Trained networks of one architecture: fuse them into one network that knows what each of them knows."""

    tiny: ClassVar[dict[str, object]] = {
        "model": "net",
        "split": "disjoint",
        "unlabeled": 24,
        "sample": 12,
        "path_images": 12,
    }

    model: str
    """Suite model that the parents are."""
    others: str | None = None
    """Suite model of all parents but the first, in place of `model`: the same architecture at another width."""
    parents: Annotated[int, Ge(2)] = 2
    """How many there are."""
    split: Literal["iid", "disjoint", "dirichlet", "personal"] = "iid"
    """Whose rows are whose: everybody has all (`iid`), classes are dealt out (`disjoint`), each class is shared out
    unevenly (`dirichlet`), or the first of two has all of one class and a share of the others, the second the rest
    (`personal`)."""
    alpha: Rate = 0.5
    """`dirichlet`: concentration; the smaller, the more uneven."""
    share: Annotated[float, Ge(0), Lt(1)] = 0.1
    """`personal`: the first owner's share of the other classes."""
    personal_class: Annotated[int, Ge(0)] = 0
    """`personal`: the class that the first owner alone has."""
    start: Literal["own-init", "shared-init", "shared-base"] = "own-init"
    """What training starts from: an initialisation for each parent, one for all, or one trained network for all."""
    base_share: Annotated[float, Gt(0), Lt(1)] = 0.1
    """`shared-base`: share of every class's training rows that the base is trained on; the owners have the rest."""
    base_recipe: Recipe | None = None
    """`shared-base`: how the base is trained; the recipe of its model, if unset."""
    fine_tune: Recipe = Recipe(epochs=4, batch_size=64, optimizer="adamw", peak_lr=1e-3, augment="none")
    """`shared-base`: how each parent is tuned from the base."""
    recalibrate: bool = True
    """Re-estimate the BatchNorm statistics of every network on the board, parents too, on the unlabelled images."""
    unlabeled: Count = 2000
    """Training images of all owners together that unlabelled access and recalibration use."""
    sample: Count = 512
    """Training images of an owner that its Gram matrices and Fisher information are computed on."""
    path_images: Count = 1000
    """Test images, and as many training images, on which the line between two aligned parents is walked."""

    @model_validator(mode="after")
    def _nothing_ignored(self) -> Fuse:
        for option, (setting, value) in OPTIONS_OF.items():
            if option in self.model_fields_set and getattr(self, setting) != value:
                raise ValueError(f"{option} is for {setting} = {value!r} only; it is {getattr(self, setting)!r}")
        if self.others is not None and self.start != "own-init":
            raise ValueError("parents of different widths cannot have one start; others is for start = 'own-init' only")
        if self.split == "personal" and self.parents != 2:
            raise ValueError(f"split = 'personal' is for two parents, not {self.parents}")
        return self

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The parents, and the base if they share one.

        Raises:
            SuiteError: the data set has too few classes for the split.
        """
        if self.split == "disjoint" and self.parents > setup.num_classes:
            raise SuiteError(f"{setup.num_classes} classes cannot be dealt out to {self.parents} parents")
        if self.split == "personal" and self.personal_class >= setup.num_classes:
            raise SuiteError(f"personal_class = {self.personal_class}; there are classes 0 to {setup.num_classes - 1}")
        specs: dict[str, ModelSpec] = {}
        options: dict[str, Any] = {}
        if self.start == "shared-base":
            specs["init"] = setup.spec(self.model, "init", rows=_base_rows(self, setup), recipe=self.base_recipe)
            options = {"init": specs["init"], "recipe": self.fine_tune}
        for part in range(self.parents):
            if self.start == "shared-init" and part > 0:
                options = {"init_role": "parent-0"}
            rows = _owner_rows(self, setup, part)
            model = self.others if self.others is not None and part > 0 else self.model
            specs[f"parent-{part}"] = setup.spec(model, f"parent-{part}", rows=rows, **options)
        return specs

    def prepare(self, lab: Lab) -> Situation:
        """Load the parents; draw the images of statistics and unlabelled access, the same for every row of a seed."""
        specs = self.zoo(lab.setup)
        parents = [lab.model(specs[f"parent-{part}"]) for part in range(self.parents)]
        train = lab.dataset.train
        owned = [select(specs[f"parent-{part}"].rows, train.labels) for part in range(self.parents)]
        everything = torch.cat(owned).unique()
        samples = [
            train.inputs[_some(rows, self.sample, lab.generator("fuse", "sample", part))]
            for part, rows in enumerate(owned)
        ]
        unlabeled = train.inputs[_some(everything, self.unlabeled, lab.generator("fuse", "unlabeled"))]
        path_train = spaced(everything, self.path_images)
        walk = Walk(parents)
        held_out = lab.dataset.validation
        classes = lab.setup.num_classes
        counts = torch.stack([train.labels[rows].cpu().bincount(minlength=classes) for rows in owned])
        providers: dict[str, Callable[[], Any]] = {
            "parents": lambda: copy.deepcopy(parents),
            "grams": lambda: [gram_matrices(p, s, lab.device) for p, s in zip(parents, samples, strict=True)],
            "fishers": lambda: [diagonal_fisher(p, s, lab.device) for p, s in zip(parents, samples, strict=True)],
            "class_counts": counts.clone,
            "unlabeled": unlabeled.clone,
            "inputs": lambda: train.inputs[everything],
            "labels": lambda: train.labels[everything],
            "validation_inputs": held_out.inputs.clone,
            "validation_labels": held_out.labels.clone,
            "path": walk.path,
            "student": lambda: lab.model(specs["init"]) if "init" in specs else lab.fresh(self.model, "student"),
            "recipe": lambda: specs["parent-0"].recipe,
        }
        judge = {
            "parents": parents,
            "counts": counts,
            "unlabeled": unlabeled,
            "test": lab.dataset.test,
            "path_train": Split(train.inputs[path_train], train.labels[path_train]),
            "walk": walk,
        }
        return Situation(providers, judge, size=size(parents[0]), observers=(walk,))

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """One argmax over all classes on the whole test set.

        Beside accuracy, nll and ece: `agreement_parent_I`, the share of test images on which the result and parent I
        choose one class, and their mean `agreement`; where classes are dealt out `accuracy_owner_I`, the accuracy on
        the classes of owner I (still among all classes); for a network `parameters`, the number of its weights; where
        the method told two aligned parents the barriers between them (`bench.scenarios.fuse.path`).
        """
        judge = situation.judge
        test: Split = judge["test"]
        z = self._logits(result, judge, lab)
        metrics, correct = judge_classifier(z, test)
        shares = [agreement(z, self._logits(parent, judge, lab)) for parent in judge["parents"]]
        metrics["agreement"] = sum(shares) / len(shares)
        metrics |= {f"agreement_parent_{part}": share for part, share in enumerate(shares)}
        if self.split == "disjoint":
            right = torch.from_numpy(correct).double()
            for part, counts in enumerate(judge["counts"]):
                mine = counts[test.labels.cpu()] > 0
                if mine.any():
                    metrics[f"accuracy_owner_{part}"] = float(right[mine].mean())
        if isinstance(result, nn.Module):
            metrics["parameters"] = float(size(result))
        rows = spaced(torch.arange(len(test)), self.path_images)
        shown = {"train": judge["path_train"], "test": Split(test.inputs[rows], test.labels[rows])}
        judge["walk"].take(shown, lab.setup.num_classes, lambda model: self._ready(model, judge, lab))
        return Score(metrics | judge["walk"].metrics(), {"test": correct})

    def _logits(self, model: object, judge: Mapping[str, Any], lab: Lab) -> Tensor:
        """Test logits of a row or a parent, under the one rule for BatchNorm statistics."""
        if isinstance(model, nn.Module):
            model = self._ready(model, judge, lab)
        return logits(model, judge["test"].inputs, lab.setup.num_classes)  # type: ignore[arg-type]  # checked there

    def _ready(self, model: nn.Module, judge: Mapping[str, Any], lab: Lab) -> nn.Module:
        """The network as this board judges it."""
        if self.recalibrate:
            model = copy.deepcopy(model)
            recalibrate(model, judge["unlabeled"], lab.device)
        return model


def _base_rows(settings: Fuse, setup: Setup) -> Rows:
    return Rows(kind="random", share=settings.base_share, seed=setup.seed)


def _owner_rows(settings: Fuse, setup: Setup, part: int) -> Rows:
    """The rows of owner `part`: of the whole training split or, with a base, of what the base has left."""
    left = Rows(kind="without", minus=_base_rows(settings, setup)) if settings.start == "shared-base" else None
    match settings.split:
        case "iid":
            return left or Rows()
        case "disjoint":
            return Rows(kind="disjoint", part=part, parts=settings.parents, of=left)
        case "dirichlet":
            seed, alpha = setup.seed, settings.alpha
            return Rows(kind="dirichlet", part=part, parts=settings.parents, alpha=alpha, seed=seed, of=left)
        case "personal":
            classes = (settings.personal_class,)
            return Rows(kind="personal", part=part, parts=2, classes=classes, share=settings.share, of=left)


def _some(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:count]]
