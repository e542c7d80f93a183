"""Weight matching: permutations keep functions, copies are found, and the objective never falls."""

import itertools

import pytest
import torch

from bench.data.images.kind import ImageProblem
from bench.models.permutation import permute, random_permutations, sizes
from methods.fusion.git_rebasin import ascent, git_rebasin, objective, weight_matching
from methods.fusion.state import own_state


def pair(network, name):
    model = network(name)
    weights = [entry for entry, _ in model.named_parameters()]
    return own_state(model), own_state(network(name, 1)), model.permutation_spec(), weights


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_reordered_copy_fuses_back_to_the_same_weights(network, shuffled, fuse_task, network_name):
    model = network(network_name)
    fused = git_rebasin(fuse_task([model, shuffled(model)])).state_dict()
    assert all(torch.equal(fused[name], tensor) for name, tensor in model.state_dict().items())


def test_three_reordered_copies_fuse_to_the_same_function(network, shuffled, fuse_task, x):
    model = network("mlp")
    fused = git_rebasin(fuse_task([shuffled(model, seed) for seed in range(3)]))
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-12)


def test_identical_parents_are_a_fixed_point(network, fuse_task, network_name):
    model = network(network_name)
    fused = git_rebasin(fuse_task([model, network(network_name)])).state_dict()
    assert all(torch.equal(fused[name], tensor) for name, tensor in model.state_dict().items())


def test_every_change_raises_the_objective_by_what_it_says(network, network_name):
    a, b, spec, weights = pair(network, network_name)
    steps = list(ascent(a, b, spec, weights, seeded()))
    values = [objective(a, permute(b, spec, perms), weights) for perms, _ in steps]
    assert len(steps) > 1
    for before, after, (_, gain) in zip(values, values[1:], steps[1:], strict=False):
        assert after > before
        assert after - before == pytest.approx(gain, rel=1e-9)


def test_no_group_can_gain_by_itself_at_the_end(network):
    a, b, spec, weights = pair(network, "vgg")
    found = weight_matching(a, b, spec, weights, seeded())
    reached = objective(a, permute(b, spec, found), weights)
    for group in spec.order:
        n = sizes(spec, b)[group]
        for i, j in itertools.combinations(range(n), 2):
            swap = torch.arange(n)
            swap[[i, j]] = swap[[j, i]]
            other = found | {group: found[group][swap]}
            assert objective(a, permute(b, spec, other), weights) <= reached + 1e-9


def test_one_hidden_layer_is_solved_to_the_optimum(network):
    """With a single group it is one assignment problem: no permutation of 5 units does better."""
    from functools import partial
    from types import SimpleNamespace

    from bench.models import build

    problem = SimpleNamespace(problem=partial(ImageProblem, shape=(1, 2, 2), mean=(0.5,), std=(0.5,)))
    models = [build("mlp", {"width": 5, "depth": 1}, 3, problem, seed=seed) for seed in (0, 1)]
    a, b = (own_state(model) for model in models)
    spec, weights = models[0].permutation_spec(), [name for name, _ in models[0].named_parameters()]
    found = weight_matching(a, b, spec, weights, seeded())
    best = max(
        objective(a, permute(b, spec, {"hidden0": torch.tensor(p)}), weights) for p in itertools.permutations(range(5))
    )
    assert objective(a, permute(b, spec, found), weights) == pytest.approx(best, rel=1e-12)


def test_running_statistics_follow_their_channels_but_do_not_count(network):
    a, b, spec, weights = pair(network, "resnet-batch")
    assert not any("running" in name for name in weights)
    found = weight_matching(a, b, spec, weights, seeded())
    blind = {name: w if name in weights else torch.rand_like(w) for name, w in b.items()}
    again = weight_matching(a, blind, spec, weights, seeded())
    assert all(torch.equal(found[group], again[group]) for group in spec.order)


def test_the_matched_parent_keeps_its_function(network, x, network_name):
    a, b, spec, weights = pair(network, network_name)
    model = network(network_name, 1)
    expected = model(x)
    model.load_state_dict(permute(model.state_dict(), spec, weight_matching(a, b, spec, weights, seeded())))
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-10)


def test_more_restarts_never_end_lower(network, fuse_task):
    a, _, _, weights = pair(network, "mlp")
    reached = []
    for restarts in (1, 8):
        task = fuse_task([network("mlp"), network("mlp", 1)])
        task.generator.manual_seed(5)
        fused = own_state(git_rebasin(task, restarts=restarts))
        matched = {name: 2 * w - a[name] for name, w in fused.items()}
        reached.append(objective(a, matched, weights))
    assert reached[1] >= reached[0] - 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_a_reordered_deep_mlp_is_recovered_in_any_order(shuffled, seed):
    """Local search has no guarantee beyond one hidden layer; 20 of 20 orders find the copy at width 64."""
    from functools import partial
    from types import SimpleNamespace

    from bench.models import build

    problem = SimpleNamespace(problem=partial(ImageProblem, shape=(1, 8, 8), mean=(0.5,), std=(0.5,)))
    model = build("mlp", {"width": 64, "depth": 4}, 10, problem, seed=seed)
    spec, state = model.permutation_spec(), own_state(model)
    perms = random_permutations(spec, state, seeded(seed))
    found = weight_matching(
        state, permute(state, spec, perms), spec, [name for name, _ in model.named_parameters()], seeded(seed)
    )
    assert all(torch.equal(perms[group][found[group]], torch.arange(64)) for group in spec.order)
