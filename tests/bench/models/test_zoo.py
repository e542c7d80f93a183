from __future__ import annotations

import errno
import json
import multiprocessing
import os
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file
from torch import nn

from bench.data import loading
from bench.data.spec import DataSpec, Rows
from bench.device import Device
from bench.errors import BenchError, ZooError
from bench.models import build, make
from bench.models.keys import asked, place
from bench.models.spec import ModelSpec
from bench.models.zoo import Zoo
from bench.schema.recipe import Recipe


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """The models that were trained, in order."""
    names: list[str] = []
    true_train = make.train

    def train(model, spec, *args, **kwargs):
        names.append(spec.role)
        true_train(model, spec, *args, **kwargs)

    monkeypatch.setattr(make, "train", train)
    return names


@pytest.fixture
def zoo(tmp_path) -> Zoo:
    return Zoo(tmp_path / "zoo", Device())


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def only_file(zoo: Zoo) -> Path:
    [path] = zoo.root.glob("*/*.safetensors")
    return path


def test_a_model_is_trained_once_and_then_loaded(zoo, digits, make_spec, trained):
    spec = make_spec(recipe=Recipe(epochs=6, batch_size=32, augment="none"))
    assert not zoo.has(spec)
    assert zoo.seconds(spec) is None
    before = torch.random.get_rng_state()
    first, second = zoo.load(spec, digits), Zoo(zoo.root, Device()).load(spec, digits)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert trained == ["model"]
    assert same(first, second)
    assert first is not second
    assert not first.training
    assert zoo.has(spec)
    [entry] = zoo.entries()
    assert entry.key == place(spec)
    assert ModelSpec.model_validate_json(json.dumps(entry.about["spec"])) == spec
    assert entry.about["seconds"] == zoo.seconds(spec) > 0
    assert 0.6 < entry.about["validation_accuracy"] <= 1
    assert 0.6 < entry.about["train_accuracy"] <= 1
    assert entry.about["data"]["fingerprint"] == digits.fingerprint
    assert entry.bytes == entry.weights.stat().st_size
    assert not list(zoo.root.glob("*/*.tmp"))


def test_equal_specs_give_equal_bits_in_two_zoos(tmp_path, digits, make_spec):
    one, two = (Zoo(tmp_path / name, Device()).load(make_spec(), digits) for name in "ab")
    assert same(one, two)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"role": "parent-1"},
        {"options": {"width": 17, "depth": 1}},
        {"rows": Rows(kind="random", share=0.5)},
        {"recipe": Recipe(epochs=2)},
        {"num_classes": 11},
        {"fingerprint": "other"},
        {"data": DataSpec(name="digits", train=100)},
        {"init_role": "shared"},
        {"head": "class-means"},
        {"relabel": (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_key_changes_with_everything_that_changes_the_weights(zoo, make_spec, change):
    assert place(make_spec(**change)) != place(make_spec())


def test_the_key_is_blind_to_test_size_stand_in_and_order_of_options(zoo, make_spec):
    spec = make_spec()
    assert place(make_spec(data=DataSpec(name="digits", test=5, offline="shapes32"))) == place(spec)
    assert place(make_spec(options={"depth": 1, "width": 16})) == place(spec)
    assert place(make_spec(init=spec, role="child")) != place(make_spec(role="child"))
    assert place(make_spec(init=spec)) != place(make_spec(init=make_spec(seed=4)))


def test_the_place_changes_with_the_code_of_training_and_what_is_asked_does_not(make_spec, monkeypatch):
    spec = make_spec()
    before = place(spec), asked(spec)
    monkeypatch.setattr("bench.models.keys.walk.digest", lambda *_: SimpleNamespace(value="edited"))
    assert place(spec) != before[0]
    assert asked(spec) == before[1]


def test_the_place_of_a_model_on_made_data_changes_with_the_code_that_makes_them(make_spec):
    specs = [make_spec(data_code=code) for code in ("a", "b")]
    assert place(specs[0]) != place(specs[1])
    assert asked(specs[0]) == asked(specs[1])


def _load(root, spec, digits, ready, queue):
    """The second process: it says that it is about to ask, asks, and must not train."""

    def train(*_args, **_kwargs):
        raise AssertionError("trained a second time")

    make.train = train
    ready.set()
    queue.put(Zoo(root, Device()).load(spec, digits).head.weight.detach().numpy())


def test_two_processes_train_a_model_once(zoo, digits, make_spec, monkeypatch, pytestconfig):
    monkeypatch.syspath_prepend(pytestconfig.rootpath)  # the new process imports this module by name
    context = multiprocessing.get_context("spawn")
    ready, queue = context.Event(), context.Queue()
    true_train = make.train

    def train(*args, **kwargs):  # this process holds the lock; the other comes while it trains
        other.start()
        assert ready.wait(240)
        time.sleep(0.3)
        true_train(*args, **kwargs)

    monkeypatch.setattr(make, "train", train)
    other = context.Process(target=_load, args=(zoo.root, make_spec(), digits, ready, queue))
    model = zoo.load(make_spec(), digits)
    assert (queue.get(timeout=240) == model.head.weight.detach().numpy()).all()
    other.join(60)
    assert other.exitcode == 0


@pytest.mark.parametrize("fault", ["truncated", "altered", "empty", "missing", "json torn", "json of another"])
def test_a_spoilt_file_is_reported_and_rebuilt(zoo, digits, make_spec, trained, fault):
    spec = make_spec()
    first = zoo.load(spec, digits)
    path = only_file(zoo)
    about = path.with_suffix(".json")
    content = path.read_bytes()
    if fault == "truncated":
        path.write_bytes(content[:-100])
    elif fault == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "missing":
        path.unlink()
    elif fault == "json torn":
        about.write_text(about.read_text()[:20])
    else:
        about.write_text(json.dumps(json.loads(about.read_text()) | {"sha256": "0" * 64}))
    with pytest.warns(UserWarning, match=f"{path.name} is truncated or altered"):
        second = zoo.load(spec, digits)
    assert trained == ["model", "model"]
    assert same(first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(zoo.load(spec, digits), first)
    assert len(trained) == 2


def test_a_full_disk_leaves_no_half_file(zoo, digits, make_spec, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    spec = make_spec()
    with pytest.raises(BenchError, match=rf"cannot write .*{place(spec)}\.safetensors: No space left on device"):
        zoo.load(spec, digits)
    assert [path for path in zoo.root.glob("*/*") if path.suffix != ".lock"] == []
    monkeypatch.undo()
    assert not zoo.load(spec, digits).training


def test_a_root_that_is_a_file_is_named(tmp_path, digits, make_spec):
    (tmp_path / "zoo").write_text("")
    with pytest.raises(ZooError, match=r"the zoo cannot write to .*zoo"):
        Zoo(tmp_path / "zoo", Device()).load(make_spec(), digits)


def test_a_chain_of_inits_is_trained_from_its_start(zoo, digits, make_spec, trained):
    base = make_spec(role="base")
    tuned = make_spec(role="tuned", init=base, rows=Rows(kind="classes", classes=(0, 1, 2)))
    again = make_spec(role="again", init=tuned, recipe=Recipe(epochs=1, peak_lr=1e-12, augment="none"))
    end = zoo.load(again, digits)
    assert trained == ["base", "tuned", "again"]
    torch.testing.assert_close(end.head.weight, zoo.load(tuned, digits).head.weight, rtol=0, atol=1e-6)
    assert not same(zoo.load(tuned, digits), zoo.load(base, digits))
    assert len(trained) == 3


def test_a_head_of_another_size_starts_fresh(zoo, digits, make_spec):
    base = make_spec(role="base")
    still = Recipe(epochs=1, peak_lr=1e-12, augment="none")
    task = make_spec(
        role="task",
        init=base,
        recipe=still,
        num_classes=2,
        rows=Rows(kind="classes", classes=(3, 5)),
        relabel=(-1, -1, -1, 0, -1, 1, -1, -1, -1, -1),
    )
    model, start = zoo.load(task, digits), zoo.load(base, digits)
    assert model.head.weight.shape == (2, 16)
    torch.testing.assert_close(model.hidden[0].weight, start.hidden[0].weight, rtol=0, atol=1e-6)
    entry = next(e for e in zoo.entries() if e.key == place(task))
    assert entry.about["train_images"] == int(torch.isin(digits.train.labels, torch.tensor([3, 5])).sum())
    assert entry.about["validation_accuracy"] is not None


def test_a_start_of_another_architecture_is_refused(zoo, digits, make_spec):
    child = make_spec(role="child", init=make_spec(options={"width": 8, "depth": 1}))
    with pytest.raises(ZooError, match=r"mlp child seed 0 starts from mlp model seed 0: .*hidden.0.weight has shape"):
        zoo.load(child, digits)


def test_a_start_on_other_data_is_trained_on_those(zoo, digits, make_spec, monkeypatch):
    other = replace(digits, fingerprint="other", train=digits.validation)
    monkeypatch.setattr(loading, "load", lambda spec: {"elsewhere": other}[spec.name])
    base = make_spec(role="base", data=DataSpec(name="elsewhere"), fingerprint="other")
    zoo.load(make_spec(init=base), digits)
    entry = next(e for e in zoo.entries() if e.key == place(base))
    assert entry.about["train_images"] == len(digits.validation)
    assert entry.about["data"]["fingerprint"] == "other"


def test_data_of_another_fingerprint_are_refused(zoo, digits, make_spec):
    with pytest.raises(ZooError, match="is to be trained on data of fingerprint aa, and digits of fingerprint 0123"):
        zoo.load(make_spec(fingerprint="aa"), digits)


def test_parents_of_one_initialisation_start_alike_and_train_apart(zoo, digits, make_spec):
    still = Recipe(epochs=1, peak_lr=1e-12, augment="none")
    one, two = (zoo.load(make_spec(role=r, init_role="shared", recipe=still), digits) for r in ("a", "b"))
    torch.testing.assert_close(one.head.weight, two.head.weight, rtol=0, atol=1e-6)
    alone = zoo.load(make_spec(role="a", recipe=still), digits)
    assert (one.head.weight - alone.head.weight).abs().max() > 1e-2
    moving = [zoo.load(make_spec(role=r, init_role="shared"), digits) for r in ("a", "b")]
    assert not torch.equal(moving[0].head.weight, moving[1].head.weight)


def test_training_that_diverges_names_the_model(zoo, digits, make_spec):
    wild = Recipe(epochs=3, batch_size=64, peak_lr=1e9, augment="none")
    with pytest.raises(ZooError, match=r"mlp wild seed 0 cannot be trained: the loss is (nan|inf) at step \d+ of 27"):
        zoo.load(make_spec(role="wild", recipe=wild), digits)
    assert zoo.entries() == []


def test_labels_outside_of_the_head_are_refused(zoo, digits, make_spec):
    with pytest.raises(ZooError, match="labels from 0 to 9 do not fit 5 classes"):
        zoo.load(make_spec(num_classes=5), digits)
    with pytest.raises(ZooError, match="relabel has 2 entries, there is a label 9"):
        zoo.load(make_spec(relabel=(0, 1)), digits)


def test_a_class_means_head_classifies_by_means_and_stays(zoo, digits, make_spec):
    base = make_spec(role="base", recipe=Recipe(epochs=3, batch_size=32, augment="none"))
    spec = make_spec(role="expert", init=base, head="class-means")
    model, start = zoo.load(spec, digits), zoo.load(base, digits)
    assert all(p.requires_grad for p in model.parameters())
    x, y = digits.train.inputs.float() / 255, digits.train.labels
    with torch.no_grad():
        features = start.features(x)
    means = torch.stack([features[y == c].mean(0) for c in range(10)])
    centre = means.mean(0)
    offsets = means - centre
    along = ((features - means[y]) * nn.functional.normalize(offsets, dim=1)[y]).sum(1)
    weight = offsets / max(along.square().mean(), 0.1 * offsets.square().sum(1).mean())
    torch.testing.assert_close(model.head.weight, weight, rtol=1e-4, atol=1e-4)
    middle = (means + centre) / 2
    scores = torch.einsum("cd,cd->c", model.head.weight, middle) + model.head.bias
    torch.testing.assert_close(scores, torch.zeros(10), rtol=0, atol=2e-3)
    assert not torch.equal(model.hidden[0].weight, start.hidden[0].weight)
    assert (model(x).argmax(1) == y).float().mean() > 0.8


def test_prune_keeps_what_it_is_told_and_what_is_being_trained(zoo, digits, make_spec):
    keep, drop, busy = (make_spec(role=r) for r in ("keep", "drop", "busy"))
    for spec in (keep, drop, busy):
        zoo.load(spec, digits)
    paths = {entry.key: entry.weights for entry in zoo.entries()}
    leftover = zoo.root / "mlp" / f"{'0' * 16}.safetensorsabc.tmp"
    leftover.write_bytes(b"half")
    with FileLock(paths[place(busy)].with_suffix(".lock")):
        assert zoo.prune({place(keep)}) == [paths[place(drop)]]
    assert {e.key for e in zoo.entries()} == {place(keep), place(busy)}
    assert not leftover.exists()
    assert not paths[place(drop)].with_suffix(".json").exists()
    assert zoo.has(keep)
    assert not zoo.has(drop)


def test_progress_names_the_model(zoo, digits, make_spec):
    seen: list[tuple[str, int, int]] = []
    zoo.progress = lambda spec, done, total: seen.append((spec.describe(), done, total))
    zoo.load(make_spec(role="parent-0", seed=3), digits)
    assert seen[-1] == ("mlp parent-0 seed 3", 9, 9)
    assert [done for _, done, _ in seen] == list(range(1, 10))


@pytest.fixture
def weights(tmp_path, digits, make_spec) -> Path:
    spec = make_spec()
    path = tmp_path / "mine.safetensors"
    save_file(build(spec.arch, spec.options, 10, digits, seed=5).state_dict(), path)
    return path


def test_weights_of_the_users_are_loaded_and_never_trained(zoo, digits, make_spec, weights, trained):
    spec = make_spec(weights=str(weights))
    assert zoo.has(spec)
    assert zoo.seconds(spec) is None
    assert same(zoo.load(spec, digits), build(spec.arch, spec.options, 10, digits, seed=5))
    assert trained == []
    assert zoo.entries() == []
    key = place(spec)
    assert place(make_spec(weights=str(weights), seed=9)) == key, "only the content counts"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert place(spec) != key


def test_training_may_start_from_weights_of_the_users(zoo, digits, make_spec, weights):
    mine = make_spec(weights=str(weights))
    child = make_spec(role="child", init=mine, recipe=Recipe(epochs=1, peak_lr=1e-12, augment="none"))
    a, b = zoo.load(child, digits), zoo.load(mine, digits)
    torch.testing.assert_close(a.head.weight, b.head.weight, rtol=0, atol=1e-6)


def test_weights_of_the_users_for_a_factory_of_the_users(zoo, digits, make_spec, tmp_path, monkeypatch):
    module = ModuleType("their_net")
    module.net = lambda *, num_classes, shape: nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], num_classes))
    monkeypatch.setitem(sys.modules, "their_net", module)
    state = module.net(num_classes=10, shape=(1, 8, 8)).state_dict()
    torch.save(state, tmp_path / "theirs.pt")
    model = zoo.load(make_spec(arch="their_net:net", options={}, weights=str(tmp_path / "theirs.pt")), digits)
    assert torch.equal(model[1].weight, state["1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"options": {"width": 8, "depth": 1}},
            r"mine.safetensors: the weights do not fit MLP: .*hidden.0.weight has shape \(16, 64\)",
        ),
        ({"options": {"width": 16, "depth": 2}}, "hidden.1.weight is missing; hidden.1.bias is missing"),
        ({"arch": "resnet8", "options": {}}, "stem.weight is missing.*hidden.0.weight is unexpected"),
        ({"weights_sha256": "0" * 64}, "has sha256 .*, the spec says 0000"),
        ({"weights": "nowhere.safetensors"}, "its weights nowhere.safetensors are not there"),
    ],
)
def test_weights_that_do_not_fit_say_where(zoo, digits, make_spec, weights, change, message):
    with pytest.raises(ZooError, match=message):
        zoo.load(make_spec(**({"weights": str(weights)} | change)), digits)
