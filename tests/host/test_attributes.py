"""The settings of a region: the spec, the API, the options and what save writes are the same."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import yaml
from rtshm.cli.attributes import ATTRIBUTES
from rtshm.cli.commands import rtshm
from rtshm.cli.description import KEYS
from rtshm.control import Control, RegionInfo, messages

CHECKOUT = Path(__file__).parents[2]
SPEC = CHECKOUT / "kmod/netlink/rtshm.yaml"
# Attributes of one request only, whose options are not in the table: a time of this
# boot is not saved, and no region has its counters reset when it is made.
APART = {"region-new": {"start_ns"}, "region-set": {"reset_counters"}}


def requested(operation: str) -> set[str]:
    """The settings that an operation of the spec takes, by the names of RegionInfo."""
    spec = yaml.safe_load(SPEC.read_text())
    (found,) = (each for each in spec["operations"]["list"] if each["name"] == operation)
    names = {name.replace("-", "_") for name in found["do"]["request"]["attributes"]}
    return names - {"name"} - APART[operation]


def test_table_has_the_settings_of_the_spec() -> None:
    assert {each.field for each in ATTRIBUTES} == requested("region-new")
    assert {each.field for each in ATTRIBUTES if each.settable} == requested("region-set")
    fields = {field.name for field in dataclasses.fields(RegionInfo)}
    kinds = {name.removeprefix("RTSHM_A_REGION_").lower() for name in messages._KINDS}
    assert {each.field for each in ATTRIBUTES} <= fields & kinds


def keywords(function: object) -> set[str]:
    return {*inspect.signature(function).parameters} - {"self", "name"}  # type: ignore[arg-type]


def test_api_has_a_keyword_for_each() -> None:
    apart = APART["region-new"]
    assert keywords(Control.create) - apart == {each.keyword for each in ATTRIBUTES}
    settable = {each.keyword for each in ATTRIBUTES if each.settable}
    assert keywords(Control.set) - APART["region-set"] == settable
    # Only a type checker has it: the settings of rtshm.create() but for the two of its own.
    text = (CHECKOUT / "client/rtshm/region.py").read_text()
    body = text.partition("class Settings(TypedDict, total=False):")[2].partition("\nelse:")[0]
    declared = {*re.findall(r"^        (\w+): ", body, re.MULTILINE)}
    assert declared - apart == {each.keyword for each in ATTRIBUTES} - {"layout", "record_depth"}


def test_command_has_an_option_and_a_key_for_each() -> None:
    def options(command: str) -> set[str]:
        return {name for param in rtshm.commands[command].params for name in param.opts}

    apart = {f"--{name.replace('_', '-')}" for names in APART.values() for name in names}
    assert options("create") - apart - {"name"} == {f"--{each.option}" for each in ATTRIBUTES}
    settable = {f"--{each.option}" for each in ATTRIBUTES if each.settable}
    assert options("set") - apart - {"name"} == settable
    assert [*KEYS] == [each.option for each in ATTRIBUTES]
