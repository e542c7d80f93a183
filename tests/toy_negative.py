"""A plugin with a scenario whose standard model is trained on something else than the suite's data: their negatives."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from torch import nn

from bench import Access, Metric, Task, method, scenario
from bench.data.spec import Dataset, Split
from bench.digests import walk
from bench.lab import Lab, Setup
from bench.models.spec import ModelSpec
from bench.scenarios import Score, Situation
from bench.scenarios.judging import CLASSIFIER, judge_classifier, logits
from bench.schema.settings import Settings


class NegativeTask(Task):
    teacher: Annotated[nn.Module, Access("weights")]


def negatives(split: Split) -> Split:
    return Split(255 - split.inputs, split.labels)


@scenario(
    kind="toy-negative",
    task=NegativeTask,
    metrics=(*CLASSIFIER, Metric("positive_accuracy", "%", higher_is_better=True)),
    lower="toy-of-negatives",
    upper="toy-of-negatives-again",
)
class Negative(Settings):
    """A teacher that has seen negatives only, judged on positives and negatives."""

    teacher: str

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        spec = setup.spec(self.teacher, "teacher")
        made = {"fingerprint": f"{setup.fingerprint}-negative", "data_code": walk.of(negatives)}
        return {"teacher": spec.model_copy(update=made)}

    def training_data(self, spec: ModelSpec, dataset: Dataset) -> Dataset:
        train, validation = map(negatives, (dataset.train, dataset.validation))
        return replace(dataset, train=train, validation=validation, fingerprint=spec.fingerprint)

    def prepare(self, lab: Lab) -> Situation:
        teacher = lab.model(self.zoo(lab.setup)["teacher"])
        return Situation({"teacher": lambda: teacher}, {"test": lab.dataset.test})

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        test = situation.judge["test"]
        metrics, _ = judge_classifier(logits(result, test.inputs, lab.setup.num_classes), test)
        negative = Split(255 - test.inputs, test.labels)
        seen, correct = judge_classifier(logits(result, negative.inputs, lab.setup.num_classes), negative)
        return Score(seen | {"positive_accuracy": metrics["accuracy"]}, {"test": correct})


@method(family="toy", scenario="toy-negative", access={"weights"})
def toy_of_negatives(task: NegativeTask) -> nn.Module:
    """The teacher itself."""
    return task.teacher


@method(family="toy", scenario="toy-negative", access={"weights"})
def toy_of_negatives_again(task: NegativeTask) -> nn.Module:
    """The teacher itself, as the other reference."""
    return task.teacher
