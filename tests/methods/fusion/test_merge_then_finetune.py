"""Fine-tuning after fusion: rows differ in their start and in nothing else."""

import copy

import pytest
import torch

from bench.device import Device
from bench.models.train import fit
from bench.schema.recipe import Recipe
from methods.fusion import merge_then_finetune as module
from methods.fusion.git_rebasin import git_rebasin
from methods.fusion.git_rebasin_acts import git_rebasin_acts
from methods.fusion.merge_then_finetune import ALIGNED_BY, merge_then_finetune, starting_network
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.references import average

MADE_BY = {
    "average": average,
    "ot-fusion": ot_fusion,
    "ot-fusion-acts": ot_fusion_acts,
    "git-rebasin": git_rebasin,
    "git-rebasin-acts": git_rebasin_acts,
}
RECIPE = Recipe(epochs=7, batch_size=4, peak_lr=0.5, augment="shift", weight_decay=1e-3)


@pytest.fixture
def tuning_task(fuse_task, network, images):
    def make(name: str = "resnet-batch"):
        parents = [network(name, seed).float() for seed in range(2)]
        labels = parents[1](images.float() / 255).argmax(1)
        return fuse_task(
            parents,
            inputs=images,
            labels=(labels + 1) % 4,
            validation_inputs=images,
            validation_labels=labels,
            recipe=RECIPE,
        )

    return make


@pytest.mark.parametrize("start", MADE_BY)
def test_a_start_is_what_the_method_of_its_name_makes(tuning_task, start):
    assert MADE_BY.keys() == ALIGNED_BY.keys()
    made = MADE_BY[start](tuning_task()).state_dict()
    assert all(torch.equal(w, made[name]) for name, w in starting_network(tuning_task(), start).state_dict().items())


def test_the_best_parent_is_best_on_held_out_images(tuning_task):
    task = tuning_task("mlp")
    chosen = starting_network(task, "best-parent")
    assert chosen is not task.parents[1]
    assert all(torch.equal(w, task.parents[1].state_dict()[name]) for name, w in chosen.state_dict().items())


@pytest.mark.parametrize("start", ["best-parent", *MADE_BY])
def test_tuning_is_the_parents_recipe_at_a_share_of_the_rate(tuning_task, start):
    task = tuning_task()
    draws = torch.Generator().manual_seed(0)
    order = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=draws)))
    expected = copy.deepcopy(starting_network(tuning_task(), start)).requires_grad_(True)
    recipe = Recipe(epochs=3, batch_size=4, peak_lr=0.5 * 0.02, augment="shift", weight_decay=1e-3)
    fit(expected, task.inputs, task.labels, recipe, generator=order, device=Device())
    tuned = merge_then_finetune(task, start=start, epochs=3, lr_share=0.02).state_dict()
    for name, w in expected.state_dict().items():
        torch.testing.assert_close(tuned[name], w, msg=name)


def test_all_starts_see_the_same_batches(tuning_task, monkeypatch):
    """Weight matching draws from the task's generator too, and must not shift the order of the images."""
    seen = {}
    for start in ("best-parent", *MADE_BY):
        monkeypatch.setattr(
            module, "fit", lambda *_, generator, start=start, **__: seen.update({start: generator.get_state()})
        )
        merge_then_finetune(tuning_task(), start=start)
    assert len(seen) == 6
    assert all(torch.equal(state, seen["average"]) for state in seen.values())


def test_parents_stay_as_they_were(tuning_task):
    task = tuning_task()
    before = [copy.deepcopy(parent.state_dict()) for parent in task.parents]
    for start in ("best-parent", "average", "ot-fusion"):
        tuned = merge_then_finetune(task, start=start)
        assert not tuned.training
    for parent, state in zip(task.parents, before, strict=True):
        assert all(torch.equal(w, state[name]) for name, w in parent.state_dict().items())


def test_tuning_lowers_the_loss(tuning_task):
    task = tuning_task("mlp")
    x = task.inputs.float() / 255

    @torch.no_grad()
    def loss(model):
        return float(torch.nn.functional.cross_entropy(model(x), task.labels))

    assert loss(merge_then_finetune(task, start="average", epochs=20)) < loss(average(task)) - 0.1
