"""What stands beneath what in a suite: profiles over the file, and scenarios over those that they extend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.errors import SuiteError, near_miss
from bench.schema.tables import ProfileHead, ScenarioHead
from bench.suite.faults import checked, named, shown

OVERRIDDEN = ("datasets", "models", "rows", "scenarios", "claims")
"""Tables of tables, of which profiles override some."""

OWN = ("extends", "about")
"""Keys of a scenario that those that extend it do not have from it."""


def with_profile(content: dict[str, Any], path: Path, profile: str) -> dict[str, Any]:
    """The suite with the overrides of `[profiles.NAME]` merged in, those that it `extends` first."""
    profiles = dict(tables(content, "profiles", str(path)))
    content = {key: value for key, value in content.items() if key != "profiles"}
    if not profiles:
        raise SuiteError(
            f"{path} has no profile, and a suite runs at one: add the line [profiles.{profile}], and below it what is "
            "to differ at that profile, if anything"
        )
    if profile not in profiles:
        raise SuiteError(f"{path}: no profile {shown(profile)}{near_miss(str(profile), profiles)}")
    above = {n: part(ProfileHead, p, str(path), f"profiles.{n}").extends for n, p in profiles.items()}
    refuse_cycles(above, str(path), "profiles", "extends")
    chain: list[str] = []
    name: str | None = profile
    while name is not None:
        chain.insert(0, name)
        name = above[name]
    for name in chain:
        overrides = {key: value for key, value in profiles[name].items() if key not in ProfileHead.model_fields}
        _refuse_additions(content, overrides, f"{path}: [profiles.{name}]")
        content = merged(content, overrides)
    return content


def _refuse_additions(content: Mapping[str, Any], overrides: Mapping[str, Any], where: str) -> None:
    """A profile is a size of the same suite: what it overrides must be there, rows of a list too."""
    if "profiles" in overrides:
        raise SuiteError(f"{where} holds a table `profiles`; they do not nest: say extends = 'NAME'")
    for table in OVERRIDDEN:
        _refuse_new(content.get(table, {}), overrides.get(table, {}), table, where)
    for name, rows in _table(overrides.get("rows")).items():
        _refuse_new(_table(content.get("rows")).get(name), rows, f"rows.{name}", where)


def _refuse_new(there: object, over: object, table: str, where: str) -> None:
    if not isinstance(there, dict) or not isinstance(over, dict):
        return  # told by who reads the merged table
    for name in over:
        if name not in there:
            raise SuiteError(f"{where} overrides {table}.{shown(name)}, which is not there{near_miss(name, there)}")


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One table over another, key by key, tables within them too."""
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], value) if both else value
    return out


def refuse_cycles(parent: Mapping[str, str | None], where: str, table: str, key: str) -> None:
    """Each name's parent must be there, and none its own ancestor. Raises SuiteError."""
    for start in parent:
        seen = [start]
        while (above := parent[seen[-1]]) is not None:
            if above not in parent:
                raise SuiteError(f"{where}: [{table}.{seen[-1]}] {key} = {above!r}{near_miss(above, parent)}")
            if above in seen:
                raise SuiteError(f"{where}: [{table}] {key} runs in a cycle: {' -> '.join([*seen, above])}")
            seen.append(above)


def extended(scenarios: dict[str, dict[str, Any]], where: str) -> dict[str, dict[str, Any]]:
    """Each scenario with the keys of the one that it `extends` beneath its own: two boards on one set of models.

    What it `extends` and what it is `about` are nobody's but its own.
    """
    parents = {n: part(ScenarioHead, table, where, f"scenarios.{n}").extends for n, table in scenarios.items()}
    refuse_cycles(parents, where, "scenarios", "extends")

    def whole(name: str) -> dict[str, Any]:
        above = parents[name]
        beneath = {} if above is None else whole(above)
        return {key: value for key, value in beneath.items() if key not in OWN} | scenarios[name]

    return {name: whole(name) for name in scenarios}


def tables(content: Mapping[str, Any], key: str, where: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Name and content of the tables `[key.NAME]`. Raises SuiteError."""
    found = content.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(t, dict) for t in found.values()):
        raise SuiteError(f"{where}: {key} must be tables [{key}.NAME]")
    for name in found:
        named(name, f"[{key}.NAME]", where)
    return found.items()


def part(schema: type[Any], table: Mapping[str, Any], where: str, at: str) -> Any:
    """The keys of a table that this schema knows, validated; what the others mean, somebody else says."""
    return checked(schema, {key: value for key, value in table.items() if key in schema.model_fields}, where, at)
