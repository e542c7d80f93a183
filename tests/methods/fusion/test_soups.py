"""Greedy soups: what the recipe says step by step, and what it holds by construction."""

import pytest
import torch

from methods.fusion.held_out import best_parent, calibrated, right_answers
from methods.fusion.references import average
from methods.fusion.soups import soup_greedy


@pytest.fixture
def soup_task(fuse_task, network, images):
    """Five networks around one, and labels that its noisy copies often get right."""

    def make(name: str = "mlp", spread: float = 0.1, count: int = 5, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        parents = [network(name) for _ in range(count)]
        with torch.no_grad():
            for number, parent in enumerate(parents, 1):
                for p in parent.parameters():
                    p.add_(number * spread * torch.randn(p.shape, generator=generator, dtype=p.dtype))
        held_out = torch.randint(0, 256, (300, *images.shape[1:]), dtype=torch.uint8, generator=generator)
        plain = fuse_task(parents, validation_inputs=held_out, validation_labels=torch.zeros(300, dtype=torch.int64))
        labels = calibrated(plain, network(name))(held_out.double() / 255).argmax(1)
        return fuse_task(parents, validation_inputs=held_out, validation_labels=labels)

    return make


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["mlp", "resnet-batch"])
def test_a_greedy_soup_is_at_least_as_accurate_as_the_best_parent(soup_task, name, seed):
    task = soup_task(name, seed=seed)
    best = max(right_answers(task, calibrated(task, parent)) for parent in task.parents)
    assert right_answers(task, soup_greedy(task)) >= best
    assert right_answers(task, calibrated(task, best_parent(task))) == best


def test_it_is_the_recipe_by_hand(soup_task):
    task = soup_task(seed=3)
    state = [{k: v.clone() for k, v in p.state_dict().items()} for p in task.parents]

    def score(members):
        model = calibrated(task, task.parents[0])
        model.load_state_dict({k: torch.stack([state[i][k] for i in members]).mean(0) for k in state[0]})
        return right_answers(task, model), model

    order = sorted(range(5), key=lambda i: -score([i])[0])
    kept = order[:1]
    for i in order[1:]:
        if score([*kept, i])[0] >= score(kept)[0]:
            kept.append(i)
    assert 1 < len(kept) < 5  # else this would test nothing
    expected = score(kept)[1].state_dict()
    for name, tensor in soup_greedy(task).state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-12)


def test_identical_parents_make_the_uniform_soup(soup_task):
    task = soup_task(spread=0.0)
    uniform = average(task).state_dict()
    assert all(torch.equal(tensor, uniform[name]) for name, tensor in soup_greedy(task).state_dict().items())


def test_a_ruined_parent_stays_out(soup_task, x):
    task = soup_task(spread=0.0, count=3)
    expected = task.parents[0](x)
    with torch.no_grad():
        task.parents[1].head.weight.neg_()
        task.parents[1].head.bias.fill_(1e6)
    torch.testing.assert_close(soup_greedy(task)(x), expected)


def test_the_soup_comes_with_the_statistics_that_it_was_judged_with(soup_task):
    soup = soup_greedy(soup_task("resnet-batch"))
    again = calibrated(soup_task("resnet-batch"), soup).state_dict()
    for name, tensor in soup.state_dict().items():
        torch.testing.assert_close(tensor, again[name])
