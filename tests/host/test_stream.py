"""Samples as they come, read by clients of the protocols of PlotJuggler and Foxglove."""

from __future__ import annotations

import json
import math
import socket
import struct
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from rtshm.errors import ExtraError
from rtshm.layout import Layout
from rtshm.recording.stream import Foxglove, Udp
from websockets.sync.client import connect

from tests.host.cli import run
from tests.host.recordings import TEXT, made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

PATIENCE = 20


@pytest.mark.promise("recordings: Samples arrive live in PlotJuggler's and Foxglove's protocols")
def test_plotjuggler_gets_a_datagram_of_json_for_each_sample() -> None:
    recording = made(TEXT, 100)
    recording.array["speed"][1:3] = numpy.nan, numpy.inf
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        sink = Udp("127.0.0.1", server.getsockname()[1])
        sink.send(recording.conditions, recording.array)
        sink.close()
        # As it reads it: one document a datagram, and no NaN.
        found = [json.loads(server.recv(1 << 16), parse_constant=pytest.fail) for _ in range(100)]
    begin = recording.conditions.started_ns - recording.conditions.started_monotonic_ns
    for message, sample in zip(found, recording.array, strict=True):
        assert message["timestamp"] == pytest.approx(
            (int(sample["time_ns"]) + begin) / 1e9, abs=1e-6
        )
        fields = message["motor"]
        value = float(sample["speed"])
        assert fields["speed"] == (value if math.isfinite(value) else None)
        assert fields["axes"] == sample["axes"].tolist()
        assert fields["points"][1] == {
            "x": sample["points"]["x"][1],
            "y": sample["points"]["y"][1],
        }
        assert fields["ok"] is bool(sample["ok"])
        assert fields["tick"] == sample["tick"]


class Record:
    """What a server for Foxglove needs of a region, without a kernel."""

    name = "motor"

    def __init__(self, text: str) -> None:
        self.layout = Layout(text)
        self.memory = bytearray(self.layout.size)

    def read(self) -> dict[str, Any]:
        return self.layout.parse(self.memory)

    def update(self, **values: Any) -> None:
        for field, data in self.layout.build_fields(values):
            self.memory[field.offset : field.offset + field.size] = data


@pytest.fixture
def record() -> Record:
    return Record(
        "speed:f64 on:bool mode:u8{off=0,on=1} _:x2 axes:i32[2] id:bytes[4] p(x:i32) _:x4"
    )


@pytest.fixture
def server(record: Record) -> Iterator[Foxglove]:
    server = Foxglove("127.0.0.1", 0, [record])  # type: ignore[list-item]
    yield server
    server.close()


@pytest.fixture
def client(server: Foxglove) -> Iterator[ClientConnection]:
    protocol: Any = ["foxglove.sdk.v1"]
    with connect(f"ws://127.0.0.1:{server.port}", subprotocols=protocol) as client:
        yield client


def until(client: ClientConnection, wanted: str) -> dict[str, Any]:
    """The next message of that operation."""
    while True:
        message = client.recv(PATIENCE)
        if isinstance(message, str):
            found: dict[str, Any] = json.loads(message)
            if found["op"] == wanted:
                return found


@pytest.mark.promise("recordings: Samples arrive live in PlotJuggler's and Foxglove's protocols")
def test_foxglove_gets_a_topic_with_its_schema_and_the_samples(
    server: Foxglove, client: ClientConnection, caplog: pytest.LogCaptureFixture
) -> None:
    recording = made(TEXT, 3)
    # The first makes the topic known.
    server.send(recording.conditions, recording.array[:1])
    (channel,) = until(client, "advertise")["channels"]
    assert (channel["topic"], channel["encoding"]) == ("/motor", "json")
    assert json.loads(channel["schema"])["properties"]["speed"] == {"type": "number"}
    client.send(
        json.dumps({"op": "subscribe", "subscriptions": [{"id": 7, "channelId": channel["id"]}]})
    )
    # A request that is answered after it.
    client.send(json.dumps({"op": "getParameters", "parameterNames": [], "id": "1"}))
    until(client, "parameterValues")
    server.send(recording.conditions, recording.array[1:])
    begin = recording.conditions.started_ns - recording.conditions.started_monotonic_ns
    for sample in recording.array[1:]:
        message = client.recv(PATIENCE)
        assert isinstance(message, bytes)
        code, subscription, time_ns = struct.unpack_from("<BIQ", message)
        assert (code, subscription, time_ns) == (1, 7, int(sample["time_ns"]) + begin)
        assert json.loads(message[13:])["axes"] == sample["axes"].tolist()
    # The server logs each callback that fails or is missing.
    assert not caplog.records


@pytest.mark.promise("recordings: Samples arrive live in PlotJuggler's and Foxglove's protocols")
def test_foxglove_reads_and_sets_parameters(client: ClientConnection, record: Record) -> None:
    record.update(speed=2.5, axes=[1, -1])
    client.send(json.dumps({"op": "getParameters", "parameterNames": [], "id": "1"}))
    got = until(client, "parameterValues")["parameters"]
    assert {each["name"]: each.get("value") for each in got} == {
        "motor.speed": 2.5,
        "motor.on": False,
        "motor.mode": 0,
        "motor.axes": [1, -1],
    }
    wanted = [
        {"name": "motor.speed", "value": 3},
        {"name": "motor.mode", "value": "on"},
        {"name": "motor.axes", "value": [5, 6]},
    ]
    client.send(json.dumps({"op": "setParameters", "parameters": wanted, "id": "2"}))
    until(client, "parameterValues")
    assert record.read() | {"id": b""} == {
        "speed": 3.0, "on": False, "mode": 1, "axes": [5, 6], "id": b"", "p": {"x": 0},
    }  # fmt: skip
    wrong = [{"name": "motor.mode", "value": "fast"}, {"name": "motor.sped", "value": 1}]
    client.send(json.dumps({"op": "setParameters", "parameters": wrong, "id": "3"}))
    for words in ("motor.mode: mode: 'fast' is ", "motor.sped: layout: no field sped"):
        assert until(client, "status")["message"].startswith(words)


def test_port_that_is_taken_is_said(server: Foxglove) -> None:
    with pytest.raises(OSError) as refused:
        Foxglove("127.0.0.1", server.port, [])
    assert refused.value.filename == f"127.0.0.1:{server.port}"


def test_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "foxglove", None)
    with pytest.raises(ExtraError, match=r"takes foxglove: pip install 'rtshm\[foxglove\]'"):
        Foxglove("127.0.0.1", 0, [])


@pytest.mark.parametrize("to", ["tcp://127.0.0.1:1", "udp://h:99999", "udp:h", "http://x", ""])
def test_unknown_target_is_a_usage_error(to: str) -> None:
    done = run("stream", "motor", "--to", to)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{to!r}: must be udp://HOST:PORT, foxglove://HOST:PORT or -" in " ".join(
        done.stderr.split()
    )
