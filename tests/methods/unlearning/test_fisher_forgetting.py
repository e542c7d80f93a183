"""Fisher forgetting: the noise restated by a plain loop, what it leaves alone, and what it costs."""

import pytest
import torch
from torch import nn

from bench import AccessDenied, Skip
from methods.unlearning.fisher_forgetting import CLASS_VARIANCE, fisher_forgetting, noise_variance


def plain_fisher(model, images):
    """Row by row and class by class: mean of sum_c p(c) (gradient of log p(c))^2."""
    model.eval()
    sums = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for image in images:
        log_p = model(image[None].float() / 255)[0].log_softmax(0)
        for value in log_p:
            gradients = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
            for total, g in zip(sums.values(), gradients, strict=True):
                total += value.exp().detach() * g**2
    return {name: total / len(images) for name, total in sums.items()}


@pytest.mark.parametrize("rows", [None, torch.arange(40)])
def test_the_whole_method_against_a_plain_loop(make_task, original, rows):
    alpha = 1e-4
    task = make_task("fisher-forgetting", rows=rows)
    generator = torch.Generator().manual_seed(0)
    images = task.retain_inputs[torch.randperm(len(task.retain_inputs), generator=generator)[:12]]
    fisher = plain_fisher(original, images)
    expected = {}
    for name, p in original.named_parameters():
        last = name.startswith("head")
        variance = alpha * torch.minimum(1 / (fisher[name] + 1e-8), torch.tensor(100.0 if last else 1000.0))
        if p.ndim == 2:
            variance = torch.stack([row.mean().expand(len(row)) for row in variance])
        variance = variance * (10 if last or p.ndim == 1 else 1)
        mean = p.detach().clone()
        if last and rows is None:
            mean[3], variance[3] = 0, CLASS_VARIANCE
        expected[name] = mean + variance.sqrt() * torch.randn(p.shape, generator=generator)
    model = fisher_forgetting(task, alpha=alpha, rows=12)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=1e-4, atol=1e-5)


def test_no_noise_no_change(make_task, original, same):
    assert same(fisher_forgetting(make_task("fisher-forgetting", rows=torch.arange(40)), alpha=0.0, rows=5), original)


def test_without_noise_a_class_request_touches_the_row_of_the_class_alone(make_task, original, same):
    model = fisher_forgetting(make_task("fisher-forgetting"), alpha=0.0, rows=5)
    for part in ("hidden", "norms", "normalize"):
        assert same(model, original, part)
    others = torch.arange(10) != 3
    assert torch.equal(model.head.weight[others], original.head.weight[others])
    assert torch.equal(model.head.bias[others], original.head.bias[others])
    assert float(model.head.weight[3].detach().abs().max()) < 6 * CLASS_VARIANCE**0.5


def test_statistics_of_batchnorm_get_no_noise(make_task, original, same):
    model = fisher_forgetting(make_task("fisher-forgetting"), alpha=1e-3, rows=5)
    assert same(model, original, "running")
    assert not same(model, original, "hidden")


def test_noise_variance_by_hand():
    fisher = torch.tensor([[1.0, 0.01], [0.0, 1e-4]])
    inner = noise_variance(fisher, 2.0, last=False)
    torch.testing.assert_close(inner, 2 * torch.tensor([[50.5, 50.5], [1000.0, 1000.0]]))
    last = noise_variance(fisher, 2.0, last=True)
    torch.testing.assert_close(last, 20 * torch.tensor([[50.5, 50.5], [100.0, 100.0]]))
    torch.testing.assert_close(noise_variance(fisher[1], 2.0, last=False), torch.tensor([20000.0, 20000.0]))
    torch.testing.assert_close(noise_variance(fisher[1], 2.0, last=True), torch.tensor([2000.0, 2000.0]))


def test_a_class_is_gone_and_accuracy_falls_with_the_noise(make_task, original, accuracy):
    little = fisher_forgetting(make_task("fisher-forgetting"), rows=100)
    assert accuracy(original, forgotten=True) > 0.7
    assert accuracy(little, forgotten=True) < 0.1
    assert accuracy(little) > accuracy(original) - 0.06
    assert accuracy(fisher_forgetting(make_task("fisher-forgetting"), alpha=1.0, rows=100)) < 0.5


@pytest.mark.parametrize("hidden", ["forget_inputs", "forget_labels", "retain_labels", "validation_inputs"])
def test_it_sees_retained_images_only(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("fisher-forgetting"), hidden)


def test_no_head_no_last_layer(make_task):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(Skip, match="head"):
        fisher_forgetting(make_task("fisher-forgetting", model=model))
