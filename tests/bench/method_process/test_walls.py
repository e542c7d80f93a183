"""The walls round a method's process, each tried from inside by a process that is not this one."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bench.method_process import needed

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the walls are those of Linux")

BEGIN = """
import ctypes, errno, importlib, json, os, select, shutil, signal, socket, stat, struct, subprocess, sys, tempfile, time
from concurrent.futures.thread import ThreadPoolExecutor
from pathlib import Path
from bench.method_process import needed, walls

readable = needed.system_paths()
if AS_NOBODY:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    walls._syscall("prctl", 4, 1, 0, 0, 0)  # as a process that never was root
folder = Path(tempfile.mkdtemp())
inside, outside = folder / "inside", folder / "outside"
inside.mkdir(), outside.mkdir()
secret = outside / "secret"
secret.write_text("the test labels")

def tried(act):
    '''What an act gives, or the name of what it raises.'''
    try:
        return act()
    except Exception as error:
        return type(error).__name__

def stay():
    '''Stay until killed, but not for ever where a wall fails.'''
    time.sleep(100)
    os._exit(0)

def in_child(act, fork=os.fork):
    '''What an act gives in a child, and whether it is apart.'''
    ours, theirs = os.pipe()
    forked = fork()
    pid, apart = forked if isinstance(forked, tuple) else (forked, False)
    if pid == 0:
        os.write(theirs, json.dumps(tried(act)).encode())
        os._exit(0)
    os.close(theirs)
    told = b"".join(iter(lambda: os.read(ours, 65536), b""))
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(told), apart

def ends(pipe):
    '''Whether all that hold the other end of a pipe have ended, waited for.'''
    return bool(select.select([pipe], [], [], 30)[0]) and os.read(pipe, 1) == b""

def orphan(pipe, ready):
    '''Start a process in a session of its own whose parent ends at once.'''
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(pipe)
            os.write(ready, b".")
            stay()
        os._exit(0)
    os.wait()

def version():
    return tried(lambda: walls._syscall("landlock_create_ruleset", None, 0, 1))

found = {}
"""
END = """
shutil.rmtree(folder, ignore_errors=True)
print(json.dumps(found))
"""


def told(body: str, nobody: bool = False) -> dict[str, Any]:
    """What a script finds, as an ordinary user where asked; the test is skipped where it says what is missing."""
    if nobody and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryFile("w+") as out:  # a pipe would stay open for what a failing wall leaves behind
        ended = subprocess.run(
            [sys.executable, "-c", f"AS_NOBODY = {nobody}\n{BEGIN}\n{body}\n{END}"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=200,
            check=False,
        )
        out.seek(0)
        wrote = out.read()
    assert ended.returncode == 0, wrote
    found = json.loads(wrote.splitlines()[-1])
    if isinstance(found, dict) and found.get("missing"):
        pytest.skip(found["missing"])
    return found


both = pytest.mark.parametrize("nobody", [False, True], ids=["this-user", "nobody"])


@both
def test_files_outside_are_closed_and_those_inside_open(nobody):
    found = told(
        """
listed = folder / "listed"
listed.write_text("one file")
(inside / "old").write_text("old")
def act():
    missing = walls.close_files([*readable, listed, folder / "is not there"], [inside])
    if version() == "OSError":
        return {"missing": missing}
    os.chdir(outside)
    (inside / "link").symlink_to(secret)
    (inside / "folder").mkdir()
    return {
        "missing": missing,
        "closed": {
            name: tried(act)
            for name, act in {
                "read": lambda: secret.read_text(),
                "by a link": lambda: (inside / "link").read_text(),
                "by /proc": lambda: Path(f"/proc/self/root{secret}").read_text(),
                "from there": lambda: Path("secret").read_text(),
                "list": lambda: os.listdir(outside),
                "list the root": lambda: os.listdir("/"),
                "write": lambda: secret.write_text("x"),
                "empty": lambda: os.truncate(secret, 0),
                "remove": lambda: secret.unlink(),
                "create": lambda: (outside / "new").write_text("x"),
                "move in": lambda: secret.rename(inside / "taken"),
                "write what is readable": lambda: listed.write_text("x"),
                "in a program": lambda: subprocess.run(["/bin/cat", secret], check=True, stderr=subprocess.DEVNULL),
                "a device": lambda: os.mknod(inside / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 0)),
            }.items()
        },
        "hard link": tried(lambda: (inside / "hard").hardlink_to(secret)),
        "listed": listed.read_text(),
        "inside": [
            (inside / "new").write_text("12"), (inside / "new").read_text(), (inside / "old").read_text(),
            str((inside / "new").rename(inside / "folder" / "moved")), (inside / "old").unlink(),
        ],
        "null": tried(lambda: subprocess.run(["/bin/true"], stdin=subprocess.DEVNULL, check=True).returncode),
        "privileges": Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0],
    }
found = in_child(act)[0]
if isinstance(found, dict):
    found["after"] = secret.read_text()
""",
        nobody,
    )
    closed = found["closed"]
    assert closed.pop("in a program") == "CalledProcessError"
    assert closed == dict.fromkeys(closed, "PermissionError")
    assert found["hard link"] in ("OSError", "PermissionError")
    assert found["listed"] == "one file"
    assert found["inside"][1:3] == ["12", "old"]
    assert found["null"] == 0
    assert int(found["privileges"], 16) in (0, 2)
    assert found["after"] == "the test labels"


def test_a_process_behind_closed_files_imports_compiles_and_trains():
    found = told(
        """
import torch, numpy, numba  # as a server that is warm
def act():
    os.environ["HOME"] = os.environ["TMPDIR"] = str(inside)
    missing = walls.close_files(readable, [inside])
    services = walls.close_services()
    import scipy.optimize, sklearn.datasets, sklearn.linear_model, optuna, pandas
    double = numba.njit(lambda x: 2 * x)
    model = torch.nn.Linear(64, 10)
    optimizer = torch.optim.AdamW(model.parameters())
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    loss = torch.nn.functional.cross_entropy(model(torch.tensor(images).float()), torch.tensor(labels))
    loss.backward()
    optimizer.step()
    sklearn.linear_model.LogisticRegression(max_iter=2).fit(images[:50], labels[:50] > 4)
    return {
        "closed": tried(lambda: secret.read_text()) if missing is None else "PermissionError",
        "double": double(21),
        "loss": loss.item() > 0,
        "root": scipy.optimize.brentq(lambda x: x - 2.0, 0.0, 5.0),
        "temporary": str(Path(tempfile.mkdtemp()).parent) == str(inside) or tempfile.tempdir,
    }
tempfile.tempdir = None
import warnings
warnings.simplefilter("ignore")
found = in_child(act)[0]
"""
    )
    assert found == {"closed": "PermissionError", "double": 42, "loss": True, "root": 2.0, "temporary": True}


@both
def test_processes_outside_can_be_neither_read_nor_traced_nor_signalled(nobody):
    found = told(
        """
other = os.fork()
if other == 0:
    stay()
def act():
    missing = walls.close_files([*readable, Path("/proc")], [inside])
    if version() == "OSError":
        return {"missing": missing}
    return {
        "version": version(),
        "read": [tried(lambda: Path(f"/proc/{other}/{n}").open("rb").read(1)) for n in ("mem", "environ", "maps")],
        "its root": tried(lambda: Path(f"/proc/{other}/root{secret}").read_text()),
        "signal": tried(lambda: os.kill(other, signal.SIGKILL)),
        "trace": tried(lambda: walls._syscall("ptrace", 16, other, 0, 0)),
    }
found = in_child(act)[0]
os.kill(other, signal.SIGKILL)
""",
        nobody,
    )
    assert found["read"] == ["PermissionError"] * 3
    assert found["its root"] == found["trace"] == "PermissionError"
    if found["version"] >= 6:
        assert found["signal"] == "PermissionError"


@both
def test_the_network_is_left(nobody):
    found = told(
        """
listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
def connects():
    with socket.socket() as ours:
        return ours.connect(address) or "connected"
def act():
    missing = walls.leave_network()
    return {"missing": missing, "tcp": tried(connects), "user": os.getuid(), "own": secret.read_text(),
            "makes": (inside / "x").write_text("x"), "interfaces": [n for _, n in socket.if_nameindex()]}
found = in_child(act)[0]
if not found["missing"]:
    found["before"] = connects()
    found["same user"] = found["user"] == os.getuid()
""",
        nobody,
    )
    assert found["before"] == "connected"
    assert found["tcp"] == "OSError"
    assert found["same user"]
    assert found["own"] == "the test labels"


APART = """
def server(act):
    '''A server that has left the network, and does something.'''
    def does():
        if walls.leave_network() or not walls._can_be_apart():
            return {"missing": "PID namespaces cannot be had here"}
        return act()
    return in_child(does)[0]
"""


@both
def test_processes_are_forked_apart_many_times_from_one(nobody):
    found = told(
        APART
        + """
def look():
    import psutil
    outside = [n for n in os.listdir("/proc/self/fd") if "pid" in tried(lambda: os.readlink(f"/proc/self/fd/{n}"))]
    numbers = sorted(int(n) for n in os.listdir("/proc") if n.isdigit())
    return [os.getpid(), os.getppid(), numbers, psutil.Process().pid, outside]
def act():
    before = os.readlink("/proc/self/ns/pid_for_children"), len(os.listdir("/proc/self/fd"))
    seen = [in_child(look, walls.fork_apart) for _ in range(50)]
    pid, _ = walls.fork_apart()
    if pid == 0:
        os._exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    after = os.readlink("/proc/self/ns/pid_for_children"), len(os.listdir("/proc/self/fd"))
    plain = os.fork()
    if plain == 0:
        os._exit(os.getpid() == 1)
    return {"seen": seen, "code": code, "same": before[0] == after[0], "fds": after[1] - before[1] - 50,
            "plain": os.waitpid(plain, 0)[1]}
found = server(act)
""",
        nobody,
    )
    assert found["seen"] == [[[1, 0, [1], 1, []], True]] * 50
    assert found["code"] == 7
    assert found["same"]
    assert found["fds"] == 0  # but for the ends of pipes that the test itself keeps
    assert found["plain"] == 0


@both
def test_all_that_a_method_started_ends_with_the_first_process_of_its_namespace(nobody):
    found = told(
        APART
        + """
def act():
    ours, theirs = os.pipe()
    ready, go = os.pipe()
    pid, apart = walls.fork_apart()
    if pid == 0:
        os.close(ours)
        orphan(ready, go)
        os.read(ready, 1)
        os._exit(0)
    os.close(theirs), os.close(go)
    os.waitpid(pid, 0)
    return {"apart": apart, "ends": ends(ours)}
found = server(act)
""",
        nobody,
    )
    assert found == {"apart": True, "ends": True}


@both
@pytest.mark.parametrize("who", ["server", "pid"])
def test_a_process_apart_ends_with_its_server_and_with_what_the_server_kills(nobody, who):
    found = told(
        APART
        + f"""
who = {who!r}
ours, theirs = os.pipe()
def act():
    ready, go = os.pipe()
    pid, _ = walls.fork_apart()
    if pid == 0:
        os.close(ours)
        orphan(ready, go)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(go, b".")
        stay()
    os.close(theirs)
    os.read(ready, 1), os.read(ready, 1)
    if who == "pid":
        os.kill(pid, signal.SIGKILL)
        return {{"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}}
    os._exit(0)
told_ours, told_theirs = os.pipe()
child = os.fork()
if child == 0:
    walls.leave_network()
    if not walls._can_be_apart():
        os.write(told_theirs, json.dumps({{"missing": "PID namespaces cannot be had here"}}).encode())
        os._exit(0)
    os.write(told_theirs, json.dumps(act()).encode())
    os._exit(0)
os.close(theirs), os.close(told_theirs)
found = json.loads(os.read(told_ours, 1000) or b"{{}}")
found["ends"] = ends(ours)
""",
        nobody,
    )
    assert found["ends"]
    assert found.get("code", -9) == -9


def test_without_namespaces_descendants_are_killed_one_by_one():
    found = told(
        """
ours, theirs = os.pipe()
ready, go = os.pipe()
child = os.fork()
if child == 0:
    walls.adopt_orphans()
    orphan(ready, go)
    if os.fork() == 0:  # a process that is never the same
        while True:
            if os.fork():
                os._exit(0)
    os.write(go, b".")
    stay()
os.close(theirs)
os.read(ready, 1), os.read(ready, 1)
found["none"] = walls.kill_descendants(child)
found["again"] = walls._kill_below(child, set(walls._children(child)))
found["spared"] = os.waitpid(child, os.WNOHANG) == (0, 0)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
found["ends"] = ends(ours)
"""
    )
    assert found == {"none": True, "again": False, "spared": True, "ends": True}


def test_a_process_dies_with_its_parent_though_that_was_gone_before():
    found = told(
        """
def dies(early):
    ours, theirs = os.pipe()
    ready, go = os.pipe()
    middle = os.fork()
    if middle == 0:
        parent = os.getpid()
        if os.fork() == 0:
            os.close(ready) if early else None
            if early:
                while os.getppid() == parent:
                    pass
            walls.die_with_parent(parent)
            os.write(go, b".") if not early else None
            stay()
        if not early:
            os.read(ready, 1)
        os._exit(0)
    os.close(theirs)
    os.waitpid(middle, 0)
    return ends(ours)
found = {"early": dies(True), "late": dies(False)}
"""
    )
    assert found == {"early": True, "late": True}


@both
def test_services_of_the_machine_are_out_of_reach_and_pairs_are_not(nobody):
    found = told(
        """
stream, datagrams = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
stream.bind(str(outside / "stream")), stream.listen(), datagrams.bind(str(outside / "datagrams"))
def act():
    missing = walls.close_services()
    ours, theirs = socket.socketpair()
    return {
        "missing": missing,
        "stream": tried(lambda: socket.socket(socket.AF_UNIX).connect(str(outside / "stream"))),
        "pair": tried(lambda: socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b"x", str(outside / "datagrams"))),
        "connected pair": [ours.send(b"12"), theirs.recv(2).decode()],
        "internet": tried(lambda: socket.socket().close()),
        "threads": tried(lambda: list(ThreadPoolExecutor(2).map(str, [1, 2]))),
        "program": subprocess.run(["/bin/echo", "ran"], capture_output=True, text=True).stdout,
        "watch": ctypes.CDLL(None).inotify_init(),
    }
found = in_child(act)[0]
""",
        nobody,
    )
    assert found["stream"] == found["pair"] == "OSError"
    assert found["connected pair"] == [2, "12"]
    assert found["internet"] is None
    assert found["threads"] == ["1", "2"]
    assert found["program"] == "ran\n"
    assert found["watch"] == -1


def test_limits_leave_no_core_file_and_put_the_method_first_in_line_when_memory_is_out():
    found = told(
        """
import resource
def act():
    walls.limits()
    return {"core": resource.getrlimit(resource.RLIMIT_CORE), "score": Path("/proc/self/oom_score_adj").read_text()}
found = in_child(act)[0]
"""
    )
    assert found == {"core": [0, 0], "score": "1000\n"}


def test_a_kernel_without_walls_is_said_in_sentences_and_nothing_fails():
    found = told(
        """
def no(name, *arguments):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
def act():
    walls._syscall = no
    return [walls.leave_network(), walls.close_files(readable, [inside]), walls.close_services(), secret.read_text(),
            in_child(os.getpid, walls.fork_apart)[1], walls.die_with_parent(os.getppid()), walls.adopt_orphans()]
found = in_child(act)[0]
"""
    )
    assert found == [
        "methods can reach the network: Function not implemented",
        "methods can read and write all files of the user: Landlock: Function not implemented",
        "methods can talk to services of this machine, such as D-Bus or Docker: Function not implemented",
        "the test labels",
        False,
        None,
        None,
    ]


@pytest.mark.parametrize(("older", "missing"), [(1, ["empty", "signals"]), (3, ["signals"]), (5, ["signals"]), (6, [])])
def test_an_older_landlock_closes_what_it_can_and_names_what_it_cannot(older, missing):
    found = told(
        f"""
older, ask = {older}, walls._syscall
def act():
    if not isinstance(version(), int) or version() < older:
        return {{"missing": "Landlock is older here"}}
    walls._syscall = lambda name, *given: older if given == (None, 0, 1) else ask(name, *given)
    return {{"told": walls.close_files(readable, [inside]), "read": tried(secret.read_text),
            "inside": (inside / "x").write_text("x"), "signal": tried(lambda: os.kill(os.getppid(), 0))}}
found = in_child(act)[0]
"""
    )
    assert found["read"] == "PermissionError"
    assert found["inside"] == 1
    assert found["signal"] == ("PermissionError" if older >= 6 else None)
    told_parts = found["told"].split("; ") if found["told"] else []
    assert [word for word in ("empty", "signals") if any(word in part for part in told_parts)] == missing
    assert len(told_parts) == len(missing)


def test_threads_that_were_there_before_are_told():
    found = told(
        """
import threading
def act():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return [walls.close_files(readable, [inside])]
found = in_child(act)[0]
"""
    )
    assert "1 threads that were there before the walls" in found[0] or "Landlock" in found[0]


def test_the_results_of_an_editable_install_are_closed_while_its_packages_can_be_imported():
    found = told(
        f"""
root = Path({str(ROOT)!r})
import bench.errors
def act():
    missing = walls.close_files(readable, [inside])
    if missing:
        return {{"missing": missing}}
    for name in ("bench.suite.faults", "methods.watching", "psutil", "scipy.optimize"):
        importlib.import_module(name)
    return {{"closed": [tried(lambda: path.open().read(1)) for path in (root / "results", root / "pyproject.toml")],
            "listed": tried(lambda: os.listdir(root / "results")), "open": (root / "bench" / "draws.py").exists()}}
found = in_child(act)[0]
"""
    )
    assert found["listed"] in ("PermissionError", "FileNotFoundError")
    assert set(found["closed"]) <= {"PermissionError", "FileNotFoundError", "IsADirectoryError"}
    assert found["open"]


def test_of_a_folder_on_the_path_only_what_can_be_imported_is_needed(tmp_path, monkeypatch):
    root = tmp_path / "project"
    for name in ("package/__init__.py", "package/inner/data.csv", "helper.py", "results/r.jsonl", "data/download.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "project-1.dist-info").mkdir()
    (root / "link.py").symlink_to(root / "helper.py")
    archive = tmp_path / "archive.zip"
    archive.touch()
    monkeypatch.setattr(sys, "path", [*sys.path, "", str(root), str(archive), str(tmp_path / "is not there")])
    monkeypatch.chdir(tmp_path / "project" / "results")

    below = {path for path in needed.system_paths() if tmp_path in path.parents}

    assert below == {root / "package", root / "helper.py", root / "project-1.dist-info", archive}


def test_modules_beside_a_plug_in_are_found_though_their_folder_changes_meanwhile():
    found = told(
        """
project = folder / "project"
(project / "package" / "inner").mkdir(parents=True)
for name in ("first.py", "late.py", "package/__init__.py", "package/inner/__init__.py", "package/inner/deep.py"):
    (project / name).write_text("here = __name__")
sys.path.append(str(project))
import first
paths = needed.system_paths()
needed.remember_modules()
(project / "new").touch()
os.utime(project, (1, 1))
def act():
    importlib.invalidate_caches()
    missing = walls.close_files(paths, [inside])
    return {"missing": missing, "listed": tried(lambda: os.listdir(project)),
            "here": [importlib.import_module(n).here for n in ("late", "package", "package.inner.deep")],
            "not": tried(lambda: importlib.import_module("nothing")), "own": importlib.import_module("wave").__name__}
found = in_child(act)[0]
"""
    )
    assert found["listed"] == "PermissionError"
    assert found["here"] == ["late", "package", "package.inner.deep"]
    assert found["not"] == "ModuleNotFoundError"
    assert found["own"] == "wave"


def test_no_path_that_is_needed_lies_below_another_and_all_are_there():
    paths = needed.system_paths()

    assert all(path.exists() for path in paths)
    assert not [path for path in paths if not set(paths).isdisjoint(path.parents)]
    assert not {Path("/"), Path("/home"), Path("/etc"), Path("/proc"), Path.home(), ROOT} & set(paths)
