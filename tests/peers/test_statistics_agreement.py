"""RegMean and Fisher merging beside fusion-bench's, on the same statistics; and whose Fisher information it is.

tox -e peers      (installs fusion-bench; without it these tests are skipped)
"""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench.device import Device
from bench.task.statistics import diagonal_fisher
from methods.fusion.fisher_merge import fisher_merge
from methods.fusion.regmean import regmean

pytest.importorskip("fusion_bench", reason="fusion-bench is not installed; tox -e peers installs it")

pytestmark = pytest.mark.filterwarnings("ignore")  # fusion-bench's own


def stacks(zoo) -> dict[str, list[torch.Tensor]]:
    """Weight name -> the experts' tensors."""
    experts = zoo.states()[1:]
    return {name: [expert[name] for expert in experts] for name in experts[0]}


@pytest.mark.parametrize("off_diagonal", [0.0, 0.9, 1.0])
def test_regmean(zoo, agree, off_diagonal):
    from fusion_bench.method.regmean.regmean import merging_with_regmean_weights

    generator = torch.Generator().manual_seed(1)
    layers = {name: m.in_features for name, m in zoo.init.body.named_modules() if isinstance(m, nn.Linear)}

    def gram(inputs: int) -> torch.Tensor:
        rows = torch.randn(5 * inputs, inputs + 1, generator=generator, dtype=torch.float64) + 0.3
        return rows.T @ rows / len(rows)

    grams = [{f"body.{name}": gram(inputs) for name, inputs in layers.items()} for _ in zoo.parents]
    theirs = [{name: g[f"body.{name}"][:-1, :-1] for name in layers} for g in grams]
    agree(
        regmean(zoo.task(grams=grams), off_diagonal=off_diagonal, ridge=1e-12),
        merging_with_regmean_weights(stacks(zoo), theirs, reduce_non_diagonal_ratio=off_diagonal),
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_fisher_merge(zoo, agree, normalize):
    """With next to no floor on either side, which they add to every model's information."""
    from fusion_bench.method.fisher_merging.fisher_merging import merging_with_fisher_weights

    generator = torch.Generator().manual_seed(1)
    fishers = [
        {n: 0.1 * (t + 1) + torch.rand(p.shape, generator=generator) for n, p in zoo.init.named_parameters()}
        for t in range(len(zoo.parents))
    ]
    count = len(zoo.parents)
    theirs = merging_with_fisher_weights(
        stacks(zoo),
        [{name: f[f"body.{name}"].double() for name in stacks(zoo)} for f in fishers],
        torch.full((count,), 1 / count),
        normalize_fisher_weight=normalize,
        minimal_fisher_weight=1e-12,
    )
    bodies = [{name: f for name, f in fisher.items() if name.startswith("body.")} for fisher in fishers]
    agree(fisher_merge(zoo.task(fishers=bodies), normalize=normalize, floor=1e-12, floor_of="added"), theirs)


def test_their_fisher_information_adds_the_products_between_examples_and_classes(monkeypatch):
    """They square the gradient of a sum over a batch and over sqrt(p_c) log p_c; ours squares one by one."""
    from fusion_bench.method.fisher_merging import fisher_merging as module

    torch.manual_seed(0)
    images = torch.randint(0, 256, (6, 1, 2, 2), dtype=torch.uint8)
    x = images.float() / 255
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    weight = model[1].weight

    class Answering(nn.Module):
        """The same network behind the keywords that they call it by."""

        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(model)

        def forward(self, x: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=self.net(x))

    trainer = SimpleNamespace(
        get_train_dataloader=lambda: [{"x": x}], _train_batch_size=len(x), _prepare_inputs=lambda batch: batch
    )
    caught: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(
        module,
        "merging_with_fisher_weights",
        lambda **given: caught.extend(given["models_to_merge_fisher_weights_list"]),
    )
    module.fisher_merging([Answering()], [trainer], [], [len(x)])
    theirs = caught[0]["net.1.weight"]

    p = model(x).softmax(1).detach()
    gradients = torch.stack(  # [N, classes, out, in]
        [
            torch.stack([torch.autograd.grad(model(row[None]).log_softmax(1)[0, c], weight)[0] for c in range(3)])
            for row in x
        ]
    )
    root = p.sqrt()[:, :, None, None]
    torch.testing.assert_close(theirs, (root * gradients).sum((0, 1)).square() / len(x), rtol=1e-4, atol=1e-8)
    mine = diagonal_fisher(model, images, Device())["1.weight"]
    torch.testing.assert_close(mine, (root * gradients).square().sum((0, 1)) / len(x), rtol=1e-4, atol=1e-8)
    assert not torch.allclose(mine, theirs, rtol=0.1)
