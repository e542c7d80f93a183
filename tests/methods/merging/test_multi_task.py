"""Joint training: all tasks' images under their own fixed heads, and nothing else of the network's head."""

import torch

from bench.device import Device
from bench.models import build
from bench.schema.recipe import Recipe
from methods.merging.references import multi_task


class Given:
    """What the method reads of a task."""

    def __init__(self, toy_data) -> None:
        self.device, self.compute = torch.device("cpu"), Device()
        self.generator = torch.Generator().manual_seed(0)
        self.init = build("mlp", {"width": 16, "depth": 1}, 10, toy_data, seed=0)
        rows = [toy_data.train.labels == c for c in (0, 1, 2, 3)]
        self.all_inputs = [toy_data.train.inputs[rows[0] | rows[1]], toy_data.train.inputs[rows[2] | rows[3]]]
        self.all_labels = [toy_data.train.labels[rows[0] | rows[1]], toy_data.train.labels[rows[2] | rows[3]] - 2]
        self.heads = [torch.nn.Linear(16, 2).requires_grad_(False) for _ in range(2)]
        self.fine_tune = Recipe(epochs=12, batch_size=32, optimizer="adamw", peak_lr=0.02, augment="none")
        self.progress = lambda done, total: None


def test_both_tasks_are_learnt_under_their_own_heads_which_stay():
    from bench.data import load
    from bench.data.spec import DataSpec
    from bench.device import as_input

    task = Given(load(DataSpec(name="digits")))
    before = [head.weight.clone() for head in task.heads]
    own_head = task.init.head.weight.detach().clone()
    model = multi_task(task)
    for head, kept, images, labels in zip(task.heads, before, task.all_inputs, task.all_labels, strict=True):
        assert torch.equal(head.weight, kept)
        z = head(model.features(as_input(images)))
        assert (z.argmax(1) == labels).double().mean() > 0.95
    assert torch.equal(model.head.weight, own_head)
