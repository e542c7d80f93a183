"""Text classifiers: their residual stream begins with an embedding, whose units lie on its second axis."""

import pytest
import torch

from bench.data.texts.kind import TextProblem
from bench.models.text import text_classifier
from methods.fusion.aligned import aligned
from methods.fusion.alignment import embeddings, reads
from methods.fusion.channel_statistics import channel_statistics
from methods.fusion.git_rebasin import git_rebasin
from methods.fusion.git_rebasin_acts import git_rebasin_acts
from methods.fusion.git_rebasin_ste import git_rebasin_ste
from methods.fusion.merge_then_finetune import ALIGNED_BY
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.repair import halfway, repair
from methods.fusion.state import own_state, result

FUSIONS = [ot_fusion, ot_fusion_acts, git_rebasin, git_rebasin_acts]


def build_text(seed: int = 0, width: int = 8, heads: int = 4):
    torch.manual_seed(seed)
    model = text_classifier(TextProblem(4, 9, 30), width=width, depth=2, heads=heads)
    for tensor in own_state(model).values():
        tensor.add_(0.3 * torch.randn(tensor.shape))
    return model.double().eval().requires_grad_(False)


@pytest.fixture
def texts():
    """Of 3 to 9 known tokens each."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.zeros(40, 9, dtype=torch.int64)
    for row in range(40):
        rows[row, : 3 + row % 7] = torch.randint(2, 30, (3 + row % 7,), generator=generator)
    return rows


def test_only_the_embedding_writes_along_its_second_axis():
    spec = build_text().permutation_spec()
    assert embeddings(spec) == {"embed.weight"}
    assert not reads(spec, "embed.weight", 1)
    assert reads(spec, "encoder.layers.0.up.weight", 1)
    assert reads(spec, "head.weight", 1)
    assert not reads(spec, "position", 2)


@pytest.mark.parametrize("fuse", FUSIONS)
def test_a_reordered_copy_fuses_back_to_the_same_weights(shuffled, fuse_task, texts, fuse):
    model = build_text()
    fused = fuse(fuse_task([model, shuffled(model)], unlabeled=texts))
    for name, tensor in own_state(fused).items():
        torch.testing.assert_close(tensor, own_state(model)[name], rtol=0, atol=1e-12, msg=name)


@pytest.mark.parametrize("start", ALIGNED_BY)
def test_an_aligned_text_classifier_computes_what_it_did(fuse_task, texts, start):
    task = fuse_task([build_text(), build_text(1)], unlabeled=texts)
    moved = result(task, aligned(task, ALIGNED_BY[start])[1])
    torch.testing.assert_close(moved(texts), build_text(1)(texts), rtol=0, atol=1e-10)


@pytest.mark.parametrize("fuse", [ot_fusion, ot_fusion_acts])
def test_a_text_classifier_of_twice_the_width_becomes_the_narrow_one_again(fuse_task, texts, fuse):
    narrow, wide = build_text(), build_text(width=16, heads=8)
    spec, state = narrow.permutation_spec(), narrow.state_dict()
    for entry, axes in spec.axes.items():
        for dim, axis in enumerate(axes):
            if axis is not None:
                state[entry] = state[entry].unflatten(dim, (-1, axis.block)).repeat_interleave(2, dim)
                state[entry] = state[entry].flatten(dim, dim + 1) / (2 if reads(spec, entry, dim) else 1)
    wide.load_state_dict(state)
    fused = fuse(fuse_task([narrow, wide], unlabeled=texts), width_mode="sum-preserving", eta=0.0)
    for name, tensor in own_state(fused).items():
        torch.testing.assert_close(tensor, own_state(narrow)[name], rtol=0, atol=1e-12, msg=name)


def test_the_straight_through_estimator_takes_texts(fuse_task, texts):
    labels = torch.arange(40) % 4
    task = fuse_task([build_text(), build_text(1)], inputs=texts, labels=labels)
    fused = git_rebasin_ste(task, epochs=2, batch_size=20)
    assert fused(texts).isfinite().all()


def test_repair_sets_the_channels_of_the_embedding_too(fuse_task, texts):
    parents = [build_text(), build_text(1)]
    task = fuse_task(parents, unlabeled=texts)
    repaired = repair(task)
    endpoints = [result(task, state) for state in aligned(task, "activations")]
    watched = ["embed", "encoder.layers.1.up", "encoder.layers.1.down"]
    cpu = torch.device("cpu")
    goals = halfway([channel_statistics(end, texts, watched, cpu) for end in endpoints])
    for name, now in channel_statistics(repaired, texts, watched, cpu).items():
        torch.testing.assert_close(now.mean, goals[name][0], rtol=0, atol=1e-9, msg=name)
        torch.testing.assert_close(now.std, goals[name][1], rtol=0, atol=1e-9, msg=name)
