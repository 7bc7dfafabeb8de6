"""kmod/netlink/rtshm.yaml with the numbers that YNL gives its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SPEC = Path(__file__).parents[2] / "kmod/netlink/rtshm.yaml"


def load() -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(SPEC.read_text())
    return spec


def numbers(entries: list[dict[str, Any]], first: int) -> dict[str, int]:
    """The number of each entry by its name: one more than that before it, unless it says."""
    found: dict[str, int] = {}
    number = first
    for entry in entries:
        number = entry.get("value", number)
        found[entry["name"]] = number
        number += 1
    return found


def definition(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return _only(spec["definitions"], name)


def attributes(spec: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = _only(spec["attribute-sets"], name)["attributes"]
    return entries


def operation(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return _only(spec["operations"]["list"], name)


def _only(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [entry for entry in entries if entry["name"] == name]
    return found
