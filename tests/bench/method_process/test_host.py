"""Methods in processes of their own, forked by a real server: what the judge gets of them, whatever they do."""

from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from bench.device import Device
from bench.errors import BadResult, BenchError, MethodError, Skip
from bench.method_process.child import Errand, draws
from bench.method_process.host import Code, Run
from bench.method_process.launcher import Server
from bench.running.cell import seed_everything
from bench.task.black_box import BlackBox
from bench.task.meter import Costs
from bench.task.monitor import Observations

PLUGIN = '''
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import torch
from torch import nn

from bench import BenchError, Skip, method
from bench.conformance import reachable
from bench.method_process import forms
from bench.task.black_box import BlackBox
from bench.task.handle import Handle


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * self.weight


class Odd(BaseException):
    def __init__(self, first, second):
        super().__init__()

    def __str__(self):
        raise ValueError("speechless")


def busy(seconds):
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def doing(action):
    """A method that does this."""
    def host_made(task, **_):
        return action(task)
    return host_made


def spawn(*, detached=False):
    code = "import time\\nwhile time.process_time() < 1: pass\\nopen('done', 'w')"
    if detached:
        code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"
    subprocess.run([sys.executable, "-c", code], check=True)
    while not os.path.exists("done"):
        time.sleep(0.05)


def hold(size):
    block = torch.ones(size)
    busy(0.5)
    return float(block[-1])


def raises(error):
    raise error


def leave_running(task):
    return subprocess.Popen(["sleep", "617.25"], start_new_session=True).pid


def from_thread(task):
    found = []
    threads = [threading.Thread(target=lambda: found.append(task.box(torch.ones(2, 3)))) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return found


def write_all(task):
    with torch.no_grad():
        for tensor in (*task.model.parameters(), task.inputs):
            tensor.zero_()
    return [task.model, task.inputs]


def forge(task):
    handle = object.__getattribute__(task.box, "_model")
    return task.number, Handle.elsewhere(task.number, handle._ask).ask("logits", torch.ones(1, 3))


def broken(task):
    handle = object.__getattribute__(task.box, "_model")
    handle._ask.__self__.connection.send_bytes(b"no message")
    time.sleep(60)


def to_the_judge(task):
    """The line to the judge, as thieves find it."""
    return object.__getattribute__(task.box, "_model")._ask.__self__


def early(task, *, twice=False):
    judge = to_the_judge(task)
    judge.tell("returned", counts={"flops": 0, "samples": {}}, read=[], changed=[])
    if not twice:
        judge.take()
        busy(0.5)
        judge.deliver(forms.pack(1.0))
        time.sleep(60)


def code_that_ends(task):
    return lambda x: os._exit(4)


def opened(task):
    return [type(thing).__name__ for thing in reachable(task) if isinstance(thing, nn.Module)]


for name, action in {
    "value": lambda task: {"seed": task.seed, "draw": torch.rand(2), "own": task.generator.initial_seed()},
    "model": lambda task: task.model,
    "skip": lambda task: raises(Skip("not here")),
    "known": lambda task: raises(BenchError("what is known")),
    "raise": lambda task: raises(ValueError("singular")),
    "odd": lambda task: raises(Odd(1, 2)),
    "exits": lambda task: sys.exit(0),
    "ends": lambda task: os._exit(0),
    "ends-3": lambda task: ctypes.CDLL(None)._exit(3),
    "killed": lambda task: os.kill(os.getpid(), signal.SIGKILL),
    "code": lambda task: Own(),
    "two": lambda task: [Own(), nn.Linear(3, 2), lambda x: x + task.number],
    "failing-code": lambda task: lambda x: raises(ValueError("no inputs of mine")),
    "no-tensor": lambda task: lambda x: "logits",
    "ending-code": code_that_ends,
    "slow-code": lambda task: lambda x: (busy(0.3), x)[1],
    "object": lambda task: object(),
    "box": lambda task: task.box(task.inputs),
    "threads": from_thread,
    "refused-question": lambda task: object.__getattribute__(task.box, "_model").ask("model"),
    "refused-argument": lambda task: task.box(lambda x: x),
    "refused-handle": forge,
    "broken": broken,
    "early": early,
    "twice": lambda task: early(task, twice=True),
    "says": lambda task: (to_the_judge(task).tell(**task.message), time.sleep(60)),
    "look": lambda task: [task.monitor.look(task.model, 0.5, torch.rand(30, 1, 2, 2)), task.monitor.kept(7)],
    "opened": opened,
    "write": write_all,
    "busy": lambda task: busy(1.0),
    "busy-child": lambda task: spawn(),
    "busy-orphan": lambda task: spawn(detached=True),
    "leaves": leave_running,
    "memory": lambda task: hold(2**25),
    "environment": lambda task: sorted(name for name in os.environ if name.startswith("BENCH_")),
    "progress": lambda task: task.progress(1, 2),
    "thread": lambda task: torch.get_num_threads(),
}.items():
    method(family="toy", scenario="toy", access={"labels"}, name=f"host-{name}")(doing(action))
'''


TOY = Path(__file__).parents[2] / "toy.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests: it holds nothing."""
    plugin = tmp_path_factory.mktemp("plugin") / "host_methods.py"
    plugin.write_text(PLUGIN)
    server = Server([TOY, plugin])
    yield server
    server.stop()


@pytest.fixture
def run(server):
    """`run("value", **given)` -> an open run of the method `host-value`, given these attributes of its task."""
    open_runs = []

    def call(name, progress=lambda done, total: None, seed=5, by=None, **given):
        seed_everything(seed)
        errand = Errand(f"host-{name}", "toy", {}, given, seed, Device(), draws())
        open_runs.append(Run(by or server, errand, Costs(), progress))
        return open_runs[-1]

    yield call
    for one in open_runs:
        one.close()


def test_what_a_method_returns_arrives_and_its_draws_are_the_cells(run):
    found = run("value").result()
    assert found["seed"] == found["own"] == 5
    seed_everything(5)
    assert torch.equal(found["draw"], torch.rand(2))
    assert torch.equal(run("value", seed=6).result()["draw"], found["draw"]) is False


def test_it_has_the_devices_threads_and_knows_no_folder_of_ours(run, monkeypatch):
    assert run("thread").result() == Device().threads
    assert run("environment").result() == []


def test_progress_is_told(run):
    told = []
    run("progress", progress=lambda *of: told.append(of)).result()
    assert told == [(1, 2)]


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("skip", Skip, r"^not here$"),
        ("known", MethodError, r"^BenchError: what is known$"),
        ("raise", MethodError, r"^ValueError: singular \(host_methods\.py:\d+\)$"),
        ("odd", MethodError, r"^Odd: \(which has no message\) \(host_methods\.py:"),
        ("exits", MethodError, r"^SystemExit: 0 \(host_methods\.py:"),
        ("ends", MethodError, r"its process ended \(exit code 0\) before it returned anything"),
        ("ends-3", MethodError, r"its process ended \(exit code 3\)"),
        ("killed", MethodError, r"its process ended \(exit code -9\)"),
    ],
)
def test_however_a_method_ends_it_is_told(run, name, error, told):
    one = run(name)
    with pytest.raises(error, match=told):
        one.result()
    assert 0 <= one.costs.seconds < 60


def test_a_granted_network_returns_in_its_class_whatever_that_is(run):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    found = run("model", model=model).result()
    assert found is not model
    assert torch.equal(found(torch.ones(2, 3)), model(torch.ones(2, 3)))


def test_code_answers_where_it_is_on_inputs_alone(run):
    found = run("code").result()
    assert isinstance(found, Code)
    assert "Own, which is no layer of torch" in found.why
    assert found(torch.arange(3.0)).tolist() == [0, 1, 2]
    own, layer, shifted = run("two", number=4).result()
    assert isinstance(layer, nn.Linear)
    assert own(torch.ones(1, 3)).tolist() == [[1, 1, 1]]
    assert shifted(torch.ones(2)).tolist() == [5, 5]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("failing-code", "what was returned fails on inputs: ValueError: no inputs of mine"),
        ("no-tensor", "logits were expected, got str"),
        ("ending-code", r"its process ended \(exit code 4\)"),
    ],
)
def test_code_that_gives_no_predictions_is_a_bad_result(run, name, told):
    found = run(name).result()
    for _ in range(2 if name != "ending-code" else 1):
        with pytest.raises(BadResult, match=told):
            found(torch.ones(1))


def test_code_cannot_be_asked_after_its_process_is_closed(run):
    one = run("code")
    found = one.result()
    one.close()
    with pytest.raises(BadResult, match="has ended, so its code can give no predictions"):
        found(torch.ones(3))


def test_what_code_takes_is_charged(run):
    one = run("slow-code")
    found, before = one.result(), one.costs.seconds
    found(torch.ones(1))
    assert one.costs.seconds - before > 0.29


def test_an_object_shows_its_class_and_nothing_else(run):
    found = run("object").result()
    assert type(found).__name__ == "object"
    assert not callable(found)


def test_a_black_box_answers_and_is_not_there(run):
    box, images = BlackBox(nn.Linear(3, 2)), torch.rand(4, 3)
    assert torch.equal(run("box", box=box, inputs=images).result(), box(images))
    assert run("opened", box=box).result() == []
    answers = run("threads", box=box).result()
    assert all(torch.equal(answer, box(torch.ones(2, 3))) for answer in answers)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("refused-question", "_Sealed does not answer 'model'"),
        ("refused-argument", r"logits: result\[0\] is a function, which is code and no data"),
        ("refused-handle", r"handle \d+ was not granted"),
    ],
)
def test_what_a_handle_does_not_answer_is_refused(run, name, told):
    other = BlackBox(nn.Linear(3, 2))
    with pytest.raises(MethodError, match=told):
        run(name, box=BlackBox(nn.Linear(3, 2)), number=other._model.number).result()


def test_what_is_no_message_is_a_bad_result(run):
    with pytest.raises(BadResult, match="sent what is no message"):
        run("broken", box=BlackBox(nn.Linear(3, 2))).result()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"what": "progress", "done": "much"}, "done = 'much', which is no count"),
        ({"what": "ready"}, "held = None, which is no count"),
        ({"what": "returned"}, "sent counts None"),
        ({"what": "returned", "counts": {"flops": float("nan"), "samples": {}}}, "sent counts"),
        ({"what": "returned", "counts": {"flops": 1, "samples": {"box": -5}}}, "box = -5, which is no count"),
        ({"what": "returned", "counts": {"flops": 1, "samples": {}}, "read": 3}, "read = 3, which are no names"),
        ({"what": "boasts"}, "sent 'boasts'"),
    ],
)
def test_a_message_with_odd_contents_is_a_bad_result(run, message, told):
    one = run("says", box=BlackBox(nn.Linear(3, 2)), message=message)
    one.costs.samples = {"box": 0}
    with pytest.raises(BadResult, match=told):
        one.result()


def test_who_says_too_early_that_it_returned_is_charged_to_the_end(run):
    one = run("early", box=BlackBox(nn.Linear(3, 2)))
    assert one.result() == 1.0
    assert one.costs.seconds > 0.45


def test_nothing_returns_twice(run):
    with pytest.raises(BadResult, match="returned twice"):
        run("twice", box=BlackBox(nn.Linear(3, 2))).result()


def test_a_monitor_sees_what_the_student_is_and_its_images(run):
    states, model = [], nn.Linear(3, 2)
    seen = Observations(lambda state: states.append(state) or 0.75)
    run("look", model=model, monitor=seen.monitor()).result()
    assert torch.equal(states[0]["weight"], model.weight)
    assert seen.accuracy == [(0.5, 0.75)]
    assert seen.images.shape == (20, 1, 2, 2)
    assert seen.images_kept == 7


def test_what_a_method_writes_to_is_its_own(run):
    model, images = nn.Linear(3, 2), torch.rand(4, 3)
    before = [*map(torch.clone, (*model.parameters(), images))]
    theirs, written = run("write", model=model, inputs=images).result()
    assert not written.any()
    assert not theirs.weight.any()
    assert all(torch.equal(a, b) for a, b in zip(before, (*model.parameters(), images), strict=True))


@pytest.mark.parametrize("name", ["busy", "busy-child", "busy-orphan"])
def test_seconds_are_those_of_the_process_and_of_all_that_it_started(run, name):
    """A second each, once, and a child's start."""
    one = run(name)
    one.result()
    one.close()
    assert 0.95 < one.costs.seconds < 1.9


def test_memory_is_what_the_method_added(run):
    one = run("memory", inputs=torch.ones(2**22))
    one.result()
    assert 100 < one.costs.peak_memory_mb < 200


def test_what_a_method_leaves_running_ends_with_it(run):
    one = run("leaves")
    assert one.result() > 0
    one.close()
    assert left_running() == []


def left_running():
    """What `leave_running` started and does not end; its number is that of a namespace of its own."""
    there = [process for process in psutil.process_iter(["cmdline"]) if "617.25" in (process.info["cmdline"] or ())]
    return psutil.wait_procs(there, timeout=20)[1]


def test_a_server_that_died_starts_again(run, server):
    run("value").result()
    server._process.kill()
    server._process.wait()
    assert run("value").result()["seed"] == 5


def test_a_plug_in_that_cannot_be_imported_is_told(tmp_path):
    plugin = tmp_path / "host_fault.py"
    plugin.write_text("1 / 0")
    server = Server([plugin])
    with pytest.raises(BenchError, match=r"host_fault\.py.*division by zero"):
        server.start(0, 0, 0)
    server.stop()


def test_where_nothing_can_be_forked_each_method_starts_a_process(run, server):
    """As on macOS and Windows; each costs its imports, so that all is asked of few."""
    alone = Server(server._plugins, forks=False)
    box, images = BlackBox(nn.Linear(3, 2)), torch.rand(4, 3)
    assert torch.equal(run("box", by=alone, box=box, inputs=images).result(), box(images))
    assert alone.missing
    one = run("code", by=alone)
    assert one.result()(torch.arange(3.0)).tolist() == [0, 1, 2]
    one = run("leaves", by=alone)
    assert one.result() > 0
    one.close()
    assert left_running() == []
    with pytest.raises(MethodError, match="its process ended"):
        run("ends-3", by=alone).result()
    alone.stop()
