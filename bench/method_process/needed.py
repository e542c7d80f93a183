"""What a Python process has to read of a Linux machine to go on working, once `walls.close_files` closed the rest."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed.importlib import PathEntryFinderProtocol as PathEntryFinder

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload"),
    *("/etc/localtime", "/etc/timezone", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts"),
    *("/etc/os-release", "/etc/mime.types", "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
    *("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
)
_PROC = Path("/proc")
_ABOUT_THE_MACHINE = ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "sys")
_OF_AN_INSTALLATION = ("bin", "lib", "lib32", "lib64", "include", "share", "etc", "ssl", "pyvenv.cfg")
_CODE = (".py", ".pyc", ".so", ".zip", ".egg")
_BESIDE_CODE = (".libs", ".dist-info", ".egg-info")


def system_paths() -> list[Path]:
    """What this process has to read to go on working and to import what it has not yet imported.

    That is: the system's programs and libraries, the few settings that they read, what `/proc` says of the
    machine and of this process; the Python installation with its `site-packages`; and the code of other folders on
    `sys.path`. Such a folder may hold anything besides (an editable install adds the root of a project, with its
    results; `python script.py` the script's folder). So of it only packages (folders with an `__init__.py`), modules
    and what describes them are taken, not the folder. The working directory (`""`) is left out. Packages that
    are imported already are taken from wherever they lie, also those without an `__init__.py`.

    A folder of which only parts are taken can then no longer be listed: `remember_modules` lets Python import from it.

    It holds for processes forked from this one too. Call it there only once: it looks at all modules, which in a
    fresh process costs a copy of every page of memory that it touches.

    Returns:
        Paths that exist, none below another; resolved but for `/proc/self`, which is another folder in each process.
    """
    found = [*map(Path, _SYSTEM), *(_PROC / name for name in _ABOUT_THE_MACHINE), *_installation()]
    known = _beginnings(found)  # so that thousands of files need no second look
    for entry in _open_in_part():
        found += _code_in(Path(entry))
    found += [Path(file) for file in {*_imported(), *_libraries()} if not file.startswith(known)]
    return [*sorted(_outermost(found)), _PROC / "self"]


def remember_modules() -> None:
    """Have Python find the modules of those folders on `sys.path` of which `system_paths` takes parts, without a look.

    Else it lists a folder again when that has changed, which it may no longer do, and takes it for empty.
    """
    for entry in _open_in_part():
        places = {
            path.name.partition(".")[0]: path for path in _code_in(Path(entry)) if path.suffix not in _BESIDE_CODE
        }
        if Path(entry) not in places.values():  # an archive is found as ever
            finder = SimpleNamespace(find_spec=partial(_spec, places))
            sys.path_importer_cache[entry] = cast("PathEntryFinder", finder)


def _spec(places: dict[str, Path], name: str, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG001
    place = places.get(name.rpartition(".")[2])
    if place is None:
        return None
    if place.suffix:
        return spec_from_file_location(name, place)
    return spec_from_file_location(name, place / "__init__.py", submodule_search_locations=[str(place)])


def _open_in_part() -> list[str]:
    """The entries of `sys.path` that belong to no installation."""
    known = _beginnings([*map(Path, _SYSTEM), *_installation()])
    return [entry for entry in sys.path if entry and not f"{entry}{os.sep}".startswith(known)]


def _beginnings(folders: list[Path]) -> tuple[str, ...]:
    """How the paths begin that lie below some folders, be these resolved or not."""
    return tuple(f"{path}{os.sep}" for path in (*folders, *_outermost(folders)))


def _outermost(paths: Iterable[Path]) -> set[Path]:
    """What exists of some paths, resolved, without what lies below others."""
    there = {path.resolve() for path in paths if _there(path)}
    return {path for path in there if there.isdisjoint(path.parents)}


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # below a folder that this user may not enter
        return False


def _installation() -> Iterator[Path]:
    """The folders of this Python, of what it is a virtual environment of, and of installed packages."""
    for prefix in {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}:
        yield from (Path(prefix) / name for name in _OF_AN_INSTALLATION)
    yield from (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield from map(Path, site.getsitepackages())
    if site.ENABLE_USER_SITE:
        yield Path(site.getusersitepackages())


def _code_in(folder: Path) -> Iterator[Path]:
    """What can be imported from a folder on `sys.path`, and what goes with it; the path itself if it is an archive."""
    try:
        paths = list(folder.iterdir())
    except NotADirectoryError:
        yield folder
    except OSError:
        return
    else:
        for path in paths:
            if path.suffix in (*_CODE, *_BESIDE_CODE) or _there(path / "__init__.py"):
                yield path


def _imported() -> Iterator[str]:
    """The files of all modules that are imported, and the folders of packages."""
    for module in list(sys.modules.values()):
        if isinstance(file := getattr(module, "__file__", None), str):
            yield file
        with suppress(TypeError):
            yield from map(str, getattr(module, "__path__", ()))


def _libraries() -> Iterator[str]:
    """The libraries that are loaded, and those beside them, which they may load when they are first used."""
    folders = {folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder}
    with suppress(OSError):
        for line in (_PROC / "self" / "maps").read_text().splitlines():
            if "/" in line and ".so" in line:
                folders.add(os.path.dirname(line[line.index("/") :]))  # noqa: PTH120 - thousands of lines
    for folder in folders:
        yield from map(str, Path(folder).glob("*.so*"))
