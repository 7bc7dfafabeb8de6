"""The settings of a region: the spec, the API, the options and what save writes are the same."""

from __future__ import annotations

import dataclasses
import inspect
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rtshm
import yaml
from rtshm.cli.attributes import KEYS, option_of
from rtshm.cli.commands import rtshm as command
from rtshm.control import Control, RegionInfo, messages
from rtshm.settings import SETTINGS, Changes, Creation, Settings

CHECKOUT = Path(__file__).parents[2]
SPEC = CHECKOUT / "kmod/netlink/rtshm.yaml"


def requested(operation: str) -> set[str]:
    """The settings that an operation of the spec takes, by the names of RegionInfo."""
    spec = yaml.safe_load(SPEC.read_text())
    (found,) = (each for each in spec["operations"]["list"] if each["name"] == operation)
    return {name.replace("-", "_") for name in found["do"]["request"]["attributes"]} - {"name"}


def test_table_has_the_settings_of_the_spec() -> None:
    assert {SETTINGS[name].field for name in Creation.__annotations__} == requested("region-new")
    assert {SETTINGS[name].field for name in Changes.__annotations__} == requested("region-set")
    fields = {field.name for field in dataclasses.fields(RegionInfo)}
    kinds = {name.removeprefix("RTSHM_A_REGION_").lower() for name in messages._KINDS}
    assert {SETTINGS[name].field for name in SETTINGS} <= fields | {"reset_counters"} & kinds


@pytest.mark.parametrize(
    ("function", "known", "own"),
    [
        (Control.create, Creation, ["self", "name"]),
        (Control.set, Changes, ["self", "name"]),
        (rtshm.create, Settings, ["name", "layout", "exist_ok", "temporary"]),
    ],
)
def test_signature_and_help_have_each_keyword_with_its_unit(
    function: Callable[..., Any], known: type, own: list[str]
) -> None:
    assert [*inspect.signature(function).parameters] == [*own, *known.__annotations__]
    text = pydoc.plain(pydoc.render_doc(function))
    for name in known.__annotations__:
        assert f"`{name}` ({SETTINGS[name].kind})\n" in text


def test_create_and_set_differ_from_one_another_as_the_spec_says() -> None:
    assert Creation.__annotations__.keys() - Settings.__annotations__ == {"layout"}
    assert Changes.__annotations__.keys() - Creation.__annotations__ == {"reset_counters"}


def test_command_has_an_option_and_a_key_for_each() -> None:
    def options(name: str) -> set[str]:
        return {option for param in command.commands[name].params for option in param.opts}

    for name, known in (("create", Creation), ("set", Changes)):
        expected = {f"--{option_of(SETTINGS[each])}" for each in known.__annotations__}
        assert options(name) == {"name", *expected}
    assert {each.name for each in KEYS.values()} == {*Creation.__annotations__} - {"start_ns"}
