"""Checkpoints merged on disk are, to the last bit, what the method makes of the same networks in memory."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import bench
from bench import registry
from bench.checkpoints.writing import SafetensorsWriter
from bench.draws import seed_of
from bench.errors import BenchError, CheckpointError
from bench.merging import merge as merge_module
from bench.merging import spreading
from bench.merging.merge import methods
from bench.scenarios.merge.in_pieces import piece, tensors_of
from bench.scenarios.merge.scenario import MergeTask

TASKS = 4


class Net(nn.Module):
    """What is merged has everything: kernels, depthwise kernels, norms with and without statistics, an embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(37, 6)
        self.convolution = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.TransformerEncoderLayer(6, 2, 10)
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.type = nn.Linear(6, 3)  # by a name that nn.Module has taken


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(spreading, "AT_ONCE", 50)


def networks(dtype=torch.float32):
    torch.manual_seed(0)
    nets = [Net()]
    for number in range(TASKS):
        net = Net()
        net.load_state_dict(
            {
                name: value + 0.1 * torch.randn_like(value) if value.is_floating_point() else value + number
                for name, value in nets[0].state_dict().items()
            }
        )
        nets.append(net)
    return [net.to(dtype) for net in nets]


@pytest.fixture
def saved(tmp_path):
    """Base and models as files, and as networks."""
    nets = networks()
    files = [tmp_path / f"{name}.safetensors" for name in ("base", *"abcd")]
    for net, file in zip(nets, files, strict=True):
        save_file(net.state_dict(), file)
    return nets, files


def in_memory(method, base, models, **settings):
    """What the method makes of whole networks."""
    registry.discover()
    attributes = {"init": base, "parents": models, "generator": torch.Generator(), "progress": lambda *_: None}
    found = registry.METHODS.get(method).function(MergeTask(attributes, {"weights"}, method), **settings)
    return found.state_dict()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


EXACT = {
    "average": {},
    "slerp": {"t": 0.3},
    "task-arithmetic": {"scaling": 0.4},
    "ties": {"keep": 0.3},
    "dare": {"drop": 0.0, "merge": "ties", "keep": 0.3},
    "breadcrumbs": {"density": 0.5, "gamma": 0.1},
    "tsv-merge": {},
    "iso-c": {"scaling": 0.9},
    "iso-cts": {"common": 0.5},
    "knots": {"keep": 0.3},
}


def test_every_method_that_merges_checkpoints_is_compared():
    assert sorted(EXACT) == methods()


@pytest.mark.parametrize("method", EXACT)
def test_on_disk_is_in_memory_to_the_last_bit(saved, tmp_path, method):
    (base, *models), (base_file, *files) = saved
    count = 2 if method == "slerp" else TASKS
    settings = EXACT[method]
    merged = bench.merge(method, files[:count], tmp_path / "out.safetensors", base=base_file, settings=settings)
    expected = in_memory(method, base, models[:count], **settings)
    found = load_file(merged.out)
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.2, 1.0])
def test_ties_ranks_whole_task_vectors(saved, tmp_path, keep):
    (base, *models), (base_file, *files) = saved
    merged = bench.merge("ties", files, tmp_path / "out.safetensors", base=base_file, settings={"keep": keep})
    assert equal(load_file(merged.out), in_memory("ties", base, models, keep=keep))


@pytest.mark.parametrize("merge", ["average", "task-arithmetic", "ties"])
def test_dare_draws_each_tensor_by_its_name(saved, tmp_path, merge):
    (base, *models), (base_file, *files) = saved
    settings = {"merge": merge, "drop": 0.5, "keep": 1.0}
    merged = bench.merge("dare", files, tmp_path / "out.safetensors", base=base_file, settings=settings, seed=3)
    found = load_file(merged.out)
    for name in ("block.linear1.weight", "convolution.weight"):
        one = [{name: net.state_dict()[name]} for net in (base, *models)]
        task = piece("dare", one[0], one[1:], 3, seed_of("merge", "dare", 3, name, 0))
        expected = tensors_of(registry.METHODS.get("dare").function(task, **settings))
        assert torch.equal(found[name], expected[name])
    again = bench.merge("dare", files, tmp_path / "again.safetensors", base=base_file, settings=settings, seed=3)
    other = bench.merge("dare", files, tmp_path / "other.safetensors", base=base_file, settings=settings, seed=4)
    assert equal(load_file(again.out), found)
    assert not equal(load_file(other.out), found)


def test_dare_drops_of_ties_what_it_ranks(saved, tmp_path):
    """Where DARE drops, TIES elects among what is left: every look draws the same masks."""
    (base, *models), (base_file, *files) = saved
    settings = {"merge": "ties", "drop": 0.5, "keep": 0.2, "scaling": 1.0}
    merged = bench.merge("dare", files[:1], tmp_path / "out.safetensors", base=base_file, settings=settings)
    found, start = load_file(merged.out), base.state_dict()
    weights = dict(base.named_parameters())
    changed = sum(int((found[name] != start[name]).sum()) for name in weights)
    assert changed == int(0.2 * sum(weight.numel() for weight in weights.values()))
    for name in weights:
        twice = start[name] + 2 * (models[0].state_dict()[name] - start[name])
        moved = found[name] != start[name]
        torch.testing.assert_close(found[name][moved], twice[moved])


def test_without_a_base_an_average_has_counters_of_the_first_and_the_record_says_so(saved, tmp_path):
    (_, *models), (_, *files) = saved
    merged = bench.merge("average", files, tmp_path / "out.safetensors")
    assert equal(load_file(merged.out), in_memory("average", models[0], models))
    about = json.loads(merged.record.read_text())
    assert merged.record == tmp_path / "out.merge.json"
    assert about == merged.about
    assert about["base"] is None
    assert about["kept"] == {"norm.num_batches_tracked": str(files[0])}
    assert [list(model["sha256"]) for model in about["models"]] == [[file.name] for file in files]
    with safe_open(merged.out, "pt") as file:
        assert json.loads(file.metadata()["ktbench.merge"]) == about
        assert file.metadata()["format"] == "pt"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ["average", "ties", "tsv-merge"])
def test_half_precision_is_computed_in_float32_and_written_back(tmp_path, dtype, method):
    base, *models = networks(dtype)
    for name, net in zip(("base", *"abcd"), (base, *models), strict=True):
        torch.save(net.state_dict(), tmp_path / f"{name}.pt")
    files = [tmp_path / f"{name}.pt" for name in "abcd"]
    out = bench.merge(method, files, tmp_path / "out.safetensors", base=tmp_path / "base.pt").out
    wide = bench.merge(method, files, tmp_path / "wide.safetensors", base=tmp_path / "base.pt", dtype="float32").out
    expected = in_memory(method, base.float(), [model.float() for model in models])
    assert equal(load_file(wide), expected)
    assert equal(load_file(out), {name: v.to(dtype) if v.is_floating_point() else v for name, v in expected.items()})


def test_float64_is_computed_in_float64(tmp_path):
    base, *models = networks(torch.float64)
    for name, net in zip(("base", *"abcd"), (base, *models), strict=True):
        save_file(net.state_dict(), tmp_path / f"{name}.safetensors")
    files = [tmp_path / f"{name}.safetensors" for name in "abcd"]
    out = bench.merge("ties", files, tmp_path / "out.safetensors", base=tmp_path / "base.safetensors").out
    assert equal(load_file(out), in_memory("ties", base, models))


def folder(path, state, extra=()):
    """A Hugging Face folder of two shards."""
    path.mkdir()
    names = sorted(state)
    files = {name: f"model-0000{1 + (i >= len(names) // 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: state[name] for name in names if files[name] == file}, path / file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    (path / "config.json").write_text('{"model_type": "toy", "torch_dtype": "float32"}')
    for file in ("tokenizer.json", "vocab.txt", "trainer_state.json", "training_args.bin", "README.md", *extra):
        (path / file).write_text(f"of {path.name}")
    return path


@pytest.mark.parametrize("method", ["task-arithmetic", "ties", "knots"])
def test_folders_of_shards_make_a_folder_of_shards_with_config_and_tokenizer(tmp_path, method):
    base, *models = networks()
    folders = [
        folder(tmp_path / n, net.state_dict()) for n, net in zip(("base", *"abcd"), (base, *models), strict=True)
    ]
    merged = bench.merge(method, folders[1:], tmp_path / "merged", base=folders[0])
    index = json.loads((merged.out / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == json.loads((folders[0] / "model.safetensors.index.json").read_text())["weight_map"]
    found = {}
    for file in set(index["weight_map"].values()):
        found |= load_file(merged.out / file)
    assert equal(found, in_memory(method, base, models))
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in found.values())
    there = {"config.json", "tokenizer.json", "vocab.txt", "merge.json", "model.safetensors.index.json"}
    assert {path.name for path in merged.out.iterdir()} == there | set(index["weight_map"].values())
    assert (merged.out / "tokenizer.json").read_text() == "of base"
    assert merged.record == merged.out / "merge.json"
    alone = bench.merge(method, folders[1:], tmp_path / "alone.safetensors", base=folders[0])
    assert equal(load_file(alone.out), found)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("base", *"abcd"),
        *("merged", "alone.safetensors", "alone.merge.json"),
    }


def test_a_merge_of_another_dtype_says_so_in_the_config(tmp_path):
    _, a, b, *_ = networks()
    folders = [folder(tmp_path / "a", a.state_dict()), folder(tmp_path / "b", b.state_dict())]
    out = bench.merge("average", folders, tmp_path / "merged", dtype="bfloat16").out
    assert json.loads((out / "config.json").read_text()) == {"model_type": "toy", "torch_dtype": "bfloat16"}


@pytest.mark.parametrize("method", ["task-arithmetic", "ties"])
def test_an_interrupted_folder_goes_on_with_the_shard_that_is_missing(tmp_path, monkeypatch, method):
    base, *models = networks()
    folders = [
        folder(tmp_path / n, net.state_dict()) for n, net in zip(("base", *"abcd"), (base, *models), strict=True)
    ]
    written = []
    write = SafetensorsWriter.write

    def until_the_last(self, name, value, row=0):
        if name == "type.weight":
            raise KeyboardInterrupt
        write(self, name, value, row)

    monkeypatch.setattr(SafetensorsWriter, "write", until_the_last)
    with pytest.raises(KeyboardInterrupt):
        bench.merge(method, folders[1:], tmp_path / "merged", base=folders[0])
    (part,) = tmp_path.glob(".merged.*.part")
    assert [path.name for path in part.iterdir()] == ["model-00001-of-00002.safetensors"]

    monkeypatch.setattr(SafetensorsWriter, "write", lambda *args: (written.append(args[0].path.name), write(*args)))
    merged = bench.merge(method, folders[1:], tmp_path / "merged", base=folders[0])
    assert set(written) == {"model-00002-of-00002.safetensors"}
    found = {}
    for file in merged.out.glob("*.safetensors"):
        found |= load_file(file)
    assert equal(found, in_memory(method, base, models))
    assert not list(tmp_path.glob(".merged*"))


def test_wrappers_prefixes_are_taken_off(saved, tmp_path):
    (_, *models), (_, *files) = saved
    save_file({f"module.{name}": v for name, v in models[1].state_dict().items()}, tmp_path / "wrapped.safetensors")
    a = bench.merge("average", files[:2], tmp_path / "one.safetensors").out
    b = bench.merge("average", [tmp_path / "wrapped.safetensors", files[0]], tmp_path / "two.safetensors").out
    weights = {name for name, v in models[0].state_dict().items() if v.is_floating_point()}
    assert load_file(a).keys() == load_file(b).keys()
    assert all(torch.equal(load_file(a)[name], load_file(b)[name]) for name in weights)


def test_tied_weights_stay_tied_even_where_masks_are_drawn(tmp_path):
    states = []
    for seed in range(3):
        matrix = torch.randn(9, 4, generator=torch.Generator().manual_seed(seed))
        states.append({"embedding.weight": matrix, "decoder.weight": matrix})
        torch.save(states[-1], tmp_path / f"{seed}.pt")
    out = bench.merge(
        "dare", [tmp_path / "1.pt", tmp_path / "2.pt"], tmp_path / "o.safetensors", base=tmp_path / "0.pt"
    )
    found = load_file(out.out)
    assert torch.equal(found["embedding.weight"], found["decoder.weight"])
    assert out.about["tied"] == {"embedding.weight": "decoder.weight"}


def test_heads_are_left_out_where_asked(tmp_path):
    states = [{"w": torch.full((3,), float(i)), "head.weight": torch.full((i + 1, 2), float(i))} for i in range(3)]
    for i, state in enumerate(states):
        save_file(state, tmp_path / f"{i}.safetensors")
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    with pytest.raises(CheckpointError, match=r"--keep 'head.\*' leaves heads out of the merge"):
        bench.merge("average", files[1:], tmp_path / "o.safetensors", base=files[0])
    found = load_file(bench.merge("average", files[1:], tmp_path / "o.safetensors", base=files[0], keep=["head.*"]).out)
    assert torch.equal(found["head.weight"], states[0]["head.weight"])
    assert torch.equal(found["w"], torch.full((3,), 1.5))


def test_a_head_of_one_size_is_merged_like_everything_else(tmp_path):
    for i in range(2):
        save_file({"head.weight": torch.full((2, 2), float(i))}, tmp_path / f"{i}.safetensors")
    out = bench.merge("average", [tmp_path / "0.safetensors", tmp_path / "1.safetensors"], tmp_path / "o.safetensors")
    assert torch.equal(load_file(out.out)["head.weight"], torch.full((2, 2), 0.5))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"method": "tiess"}, "'tiess'; did you mean 'ties'"),
        ({"method": "fisher-merge"}, "fisher-merge cannot merge checkpoints: it needs fisher beside weights; average,"),
        ({"method": "git-rebasin"}, "it needs networks that run, or does not say in which pieces"),
        ({"method": "ties", "base": None}, "ties adds up what tuning changed: name the --base"),
        ({"models": []}, "average merges 2 or more models, and 0 are named"),
        ({"models": "a.safetensors"}, "models = 'a.safetensors': give a list of checkpoints"),
        ({"settings": {"keeep": 1}, "method": "ties"}, r"merge ties: .*unknown key 'keeep'; did you mean 'keep'"),
        ({"settings": {"keep": 2.0}, "method": "ties"}, r"keep: .* less than or equal to 1, got 2.0"),
        ({"dtype": "float23"}, "dtype 'float23' is none of weights; did you mean 'float32'"),
        ({"out": "a.safetensors"}, "a.safetensors is there already; remove it or choose another name"),
        ({"out": "merged.bin"}, r"merged.bin would be a torch file; name a file that ends in .safetensors"),
        ({"method": "slerp"}, "an arc joins two networks, and there are 4"),
        ({"keep": ["*"]}, "nothing is left to merge"),
    ],
)
def test_what_cannot_be_asked_is_told_and_leaves_nothing_behind(saved, tmp_path, monkeypatch, asked, told):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    _, (base, *files) = saved
    asked = {"method": "average", "models": files, "out": "merged", "base": base} | asked
    with pytest.raises(BenchError, match=told):
        bench.merge(**asked)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("broken", ["nan", "inf"])
@pytest.mark.parametrize("out", ["merged", "merged.safetensors"])
def test_weights_that_are_no_numbers_are_told_and_leave_nothing_behind(saved, tmp_path, broken, out):
    nets, files = saved
    nets[2].block.linear1.weight.data[3, 2] = float(broken)
    save_file(nets[2].state_dict(), files[2])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=r"b.safetensors: 'block.linear1.weight' has entries that are NaN or inf"):
        bench.merge("task-arithmetic", files[1:], tmp_path / out, base=files[0])
    assert sorted(tmp_path.iterdir()) == before


def test_numbers_beyond_the_dtype_are_told(tmp_path):
    for i in range(2):
        save_file({"w": torch.full((2,), 7e4 + i)}, tmp_path / f"{i}.safetensors")
    files = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    with pytest.raises(CheckpointError, match="the merge of 'w' has numbers beyond F16; choose a wider --dtype"):
        bench.merge("average", files, tmp_path / "o.safetensors", dtype="float16")


def test_a_mask_of_infinities_is_kept_as_it_is(tmp_path):
    mask = torch.full((2, 2), float("-inf")).triu(1)
    for i in range(2):
        save_file({"w": torch.full((2,), float(i)), "mask": mask}, tmp_path / f"{i}.safetensors")
    files = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    out = bench.merge("average", files, tmp_path / "o.safetensors", keep=["mask"]).out
    assert torch.equal(load_file(out)["mask"], mask)


def test_one_model_may_be_scaled_down(saved, tmp_path):
    (base, a, *_), (base_file, file, *_) = saved
    settings = {"scaling": 0.5}
    out = bench.merge("task-arithmetic", [file], tmp_path / "o.safetensors", base=base_file, settings=settings).out
    assert equal(load_file(out), in_memory("task-arithmetic", base, [a], **settings))


def test_progress_goes_up_to_the_end_of_every_pass(saved, tmp_path):
    _, (base, *files) = saved
    told = []
    bench.merge("ties", files, tmp_path / "o.safetensors", base=base, progress=lambda *args: told.append(args))
    passes = [what for number, (what, *_) in enumerate(told) if number == 0 or told[number - 1][0] != what]
    assert passes == ["hashing", "ranking", "merging"]
    assert all(done <= in_all for _, done, in_all in told)
    assert told[-1][1] == told[-1][2] > 0


def test_copies_are_read_in_blocks(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(merge_module, "AT_ONCE", 64)
    (_, a, *_), (_, *files) = saved
    out = bench.merge("average", files[:2], tmp_path / "o.safetensors", keep=["embedding.weight"]).out
    assert torch.equal(load_file(out)["embedding.weight"], a.embedding.weight)
