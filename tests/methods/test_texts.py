"""Squeezing, merging and fusion of text classifiers: tiny ones on made-up topics."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.data.texts.kind import TextProblem
from bench.device import Device, as_input
from bench.models.permutation import permute, random_permutations
from bench.models.text import TextClassifier, text_classifier
from bench.models.train import fit
from bench.scenarios.fuse.path import Walk
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask
from bench.scenarios.squeeze import SqueezeTask
from bench.schema.recipe import Recipe
from bench.task.statistics import diagonal_fisher, gram_matrices
from bench.task.task import Task
from methods.fusion.fisher_merge import fisher_merge
from methods.fusion.git_rebasin import git_rebasin
from methods.fusion.git_rebasin_acts import git_rebasin_acts
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.regmean import regmean
from methods.merging.adamerging import adamerging, entropy
from methods.merging.axis import axis
from methods.merging.breadcrumbs import breadcrumbs
from methods.merging.dare import dare
from methods.merging.iso import iso_c, iso_cts
from methods.merging.knots import knots
from methods.merging.task_arithmetic import task_arithmetic
from methods.merging.task_vectors import task_vectors
from methods.merging.ties import ties
from methods.merging.tsv_merge import tsv_merge
from methods.squeezing.gated_weight_squeezing import gated_weight_squeezing
from methods.squeezing.initial import chosen_entries, copy_subnetwork, gaussian, starting_maps
from methods.squeezing.low_rank import low_rank
from methods.squeezing.mapping import attach, fold, pairs
from methods.squeezing.pruned import pruned
from methods.squeezing.references import finetune_small, subnetwork
from methods.squeezing.weight_squeezing import weight_squeezing

LENGTH, VOCABULARY, WORDS = 16, 320, 10
RECIPE = Recipe(epochs=4, batch_size=16, optimizer="adamw", peak_lr=5e-3, weight_decay=0.0, augment="none")


def network(width: int, classes: int = 4, seed: int = 0, **options: int) -> TextClassifier:
    torch.manual_seed(seed)
    small = {"width": width, "depth": 2, "heads": 2, **options}
    return text_classifier(TextProblem(classes, LENGTH, VOCABULARY), **small).eval()


def moved(model: TextClassifier, seed: int = 0) -> TextClassifier:
    """With norms and biases away from their initial values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return model


def texts(count: int, seed: int, topics: tuple[int, ...] = (0, 1, 2, 3)) -> tuple[Tensor, Tensor]:
    """int64 [count, LENGTH] and labels: two words in five are of the topic's own, ten a topic."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(topics)
    first = 2 + WORDS * torch.tensor(topics)[labels][:, None]
    own = first + torch.randint(0, WORDS, (count, LENGTH), generator=generator)
    common = torch.randint(2 + 4 * WORDS, VOCABULARY, (count, LENGTH), generator=generator)
    numbers = torch.where(torch.rand(count, LENGTH, generator=generator) < 0.4, own, common)
    lengths = torch.randint(5, LENGTH + 1, (count, 1), generator=generator)
    numbers *= torch.arange(LENGTH) < lengths
    return numbers, labels


def train(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    fit(model, images, labels, RECIPE, generator=torch.Generator().manual_seed(0), device=Device())


@torch.no_grad()
def accuracy(model: nn.Module, topics: tuple[int, ...] = (0, 1, 2, 3)) -> float:
    images, labels = texts(400, 99, topics)
    return float((model(as_input(images)).argmax(1) == labels).double().mean())


# --- squeezing ---


@functools.cache
def trained(width: int, count: int, seed: int) -> TextClassifier:
    model = network(width, seed=seed)
    train(model, *texts(count, 0))
    return model


def squeeze_task() -> SqueezeTask:
    torch.manual_seed(0)
    images, labels = texts(400, 0)
    attributes = {
        "teacher": copy.deepcopy(trained(24, 400, 1)).requires_grad_(False),
        "small": copy.deepcopy(trained(8, 100, 2)),
        "student": network(8, seed=3),
        "inputs": images,
        "labels": labels,
        "recipe": RECIPE,
    }
    return SqueezeTask(attributes | common(), {"weights", "labels"}, "test")


def common() -> dict[str, object]:
    return {
        "device": torch.device("cpu"),
        "compute": Device(),
        "generator": torch.Generator().manual_seed(0),
        "progress": lambda done, total: None,
    }


def test_at_equal_width_with_identities_the_student_is_the_teacher():
    teacher, student = moved(network(8)), moved(network(8, seed=1), seed=1)
    copy_subnetwork(student, teacher, chosen_entries(student, teacher))
    with torch.no_grad():
        for p in student.parameters():
            if p.ndim > 1:
                p.normal_()  # what the student holds of mapped tensors does not matter
    x, plain = as_input(texts(20, 0)[0]), copy.deepcopy(student)
    attach(student, teacher, lambda pair, axis, s, t: torch.eye(s, t))
    assert torch.equal(student(x), teacher(x))
    fold(student, plain)
    assert torch.equal(plain(x), teacher(x))


def test_a_shallower_student_takes_its_embedding_from_the_teachers():
    teacher, student = moved(network(12, depth=4)), network(8, depth=2)
    sources = {pair.name: pair.source for pair in pairs(student, teacher)}
    assert sources["embed.weight"] == "embed.weight"
    assert sources["position"] == "position"
    assert sources["encoder.layers.1.attention.q.weight"] == "encoder.layers.3.attention.q.weight"
    chosen = chosen_entries(student, teacher)
    copy_subnetwork(student, teacher, chosen)
    assert torch.equal(student.embed.weight, teacher.embed.weight[:, chosen["stream"]])
    assert torch.equal(student.position, teacher.position[..., chosen["stream"]])


def test_gaussian_maps_keep_the_variance_of_embeddings():
    teacher, student = network(96), network(12)
    with torch.no_grad():
        teacher.embed.weight.normal_()
    generator = torch.Generator().manual_seed(0)
    attach(student, teacher, starting_maps("gaussian", student, teacher, generator))
    assert float(student.embed.weight.detach().var()) == pytest.approx(1, rel=0.2)  # as a reader's it would be 96 / 12
    other = network(12)
    attach(other, teacher, gaussian(generator))
    assert float(other.embed.weight.detach().var()) > 5


@pytest.mark.parametrize(
    "method",
    [
        weight_squeezing,
        functools.partial(weight_squeezing, init="gaussian", kd_weight=0.5),
        gated_weight_squeezing,
        subnetwork,
        finetune_small,
    ],
)
def test_squeezing_gives_a_plain_narrow_classifier_that_has_learnt(method: Callable[..., nn.Module]):
    task = squeeze_task()
    before, shapes = accuracy(task.student), {name: p.shape for name, p in task.student.named_parameters()}
    model = method(task)
    assert {name: p.shape for name, p in model.named_parameters()} == shapes
    assert accuracy(model) > max(0.6, before + 0.2)


@pytest.mark.parametrize("method", [low_rank, pruned, functools.partial(pruned, until=0.5)])
def test_compressed_teachers_keep_the_students_size(method: Callable[..., nn.Module]):
    task = squeeze_task()
    budget = sum(p.numel() for p in task.student.parameters())
    model = method(task)
    assert sum(int(p.count_nonzero()) for p in model.parameters()) <= budget
    assert accuracy(model) > 0.6


# --- merging ---

TASKS = ((0, 1), (2, 3))


@functools.cache
def family() -> tuple[TextClassifier, tuple[TextClassifier, ...]]:
    """An initialisation that knows a little of all topics, and an expert of two topics each."""
    init = network(16)
    train(init, *texts(64, 0))
    experts = []
    for number, topics in enumerate(TASKS):
        expert = copy.deepcopy(init)
        expert.head = nn.Linear(16, 2)
        train(expert, *texts(400, number + 1, topics))
        experts.append(expert)
    return init, tuple(experts)


def merge_task(method: str = "test") -> MergeTask:
    torch.manual_seed(0)
    init, experts = copy.deepcopy(family())
    samples = [texts(60, number + 5, topics)[0] for number, topics in enumerate(TASKS)]
    shots = [texts(32, number + 9, topics) for number, topics in enumerate(TASKS)]
    attributes = {
        "init": init,
        "parents": list(experts),
        "heads": [copy.deepcopy(e.head).requires_grad_(False) for e in experts],
        "grams": [gram_matrices(e, x, Device()) for e, x in zip(experts, samples, strict=True)],
        "fishers": [diagonal_fisher(e, x, Device()) for e, x in zip(experts, samples, strict=True)],
        "unlabeled": samples,
        "inputs": [images for images, _ in shots],
        "labels": [labels for _, labels in shots],
        "recipe": RECIPE,
    }
    return MergeTask(attributes | common(), {"weights", "grams", "fisher", "unlabeled", "labels"}, method)


def under_heads(task: Task, model: nn.Module) -> list[float]:
    """Accuracy of each task under its own head."""
    scores = []
    for head, topics in zip(task.heads, TASKS, strict=True):
        copied = copy.deepcopy(model)
        copied.head = head
        scores.append(accuracy(copied, topics))
    return scores


def test_task_vectors_have_embeddings_and_add_up():
    init, experts = family()
    vectors = task_vectors(init, experts)
    assert {"embed.weight", "position"} < vectors[0].keys()
    assert not any(name.startswith("head.") for name in vectors[0])
    alone = merge_task()
    alone.__dict__["parents"] = alone.parents[:1]
    x = as_input(texts(20, 3)[0])
    merged = task_arithmetic(alone, scaling=1.0)
    torch.testing.assert_close(merged.features(x), experts[0].features(x), rtol=0, atol=1e-5)
    own_words = vectors[0]["embed.weight"][2 : 2 + 2 * WORDS].abs().max()
    other_words = vectors[0]["embed.weight"][2 + 2 * WORDS : 2 + 4 * WORDS].abs().max()
    assert other_words == 0 < own_words  # of words that its texts lack an expert has learnt nothing


@pytest.mark.parametrize(
    "method",
    [
        functools.partial(task_arithmetic, scaling=0.5),
        ties,
        tsv_merge,
        iso_c,
        iso_cts,
        knots,
        functools.partial(knots, merge="dare-ties"),
        dare,
        breadcrumbs,
        regmean,
        functools.partial(regmean, joint_bias=True),
        fisher_merge,
        axis,
        adamerging,
    ],
)
def test_merges_beat_the_initialisation_on_the_tasks(method: Callable[..., nn.Module]):
    task = merge_task()
    start, scores = under_heads(task, task.init), under_heads(task, method(task))
    assert sum(scores) > sum(start) + 0.05
    assert min(scores) > 0.6


def test_equal_experts_merge_to_themselves():
    task = merge_task()
    for name in ("parents", "grams", "fishers"):
        task.__dict__[name] = [getattr(task, name)[0]] * 2
    x = as_input(texts(20, 3)[0])
    for method in (regmean, fisher_merge, ties):
        options = {"keep": 1.0} if method is ties else {}
        merged = method(task, **options)
        torch.testing.assert_close(merged.features(x), task.parents[0].features(x), rtol=0, atol=1e-4)


def test_adamerging_lowers_the_entropy():
    task = merge_task()

    @torch.no_grad()
    def uncertain(model: TextClassifier) -> float:
        pairs = zip(task.heads, task.unlabeled, strict=True)
        return sum(float(entropy(head(model.features(as_input(x))))) for head, x in pairs)

    assert uncertain(adamerging(task, steps=40)) < uncertain(adamerging(task, steps=0))


# --- fusion ---


@pytest.mark.parametrize("method", [git_rebasin, git_rebasin_acts, ot_fusion, ot_fusion_acts])
def test_fusion_undoes_a_reordering_of_the_units(method: Callable[..., nn.Module]):
    model = moved(network(12, heads=3)).double()
    spec, state, other = model.permutation_spec(), model.state_dict(), copy.deepcopy(model)
    other.load_state_dict(permute(state, spec, random_permutations(spec, state, torch.Generator().manual_seed(4))))
    images, _ = texts(60, 1)
    attributes = {"parents": [model, other], "unlabeled": images, "path": Walk([model, other]).path()}
    task = FuseTask(attributes | common(), {"weights", "unlabeled"}, "test")
    fused, average = method(task), copy.deepcopy(model)
    average.load_state_dict({name: (state[name] + w) / 2 for name, w in other.state_dict().items()})
    x = as_input(images)
    torch.testing.assert_close(fused(x), model(x), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(average(x), model(x), atol=0.01)
