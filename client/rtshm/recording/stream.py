"""Samples as they come, for programs that draw them: PlotJuggler over UDP, Foxglove, or a pipe."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rtshm.errors import need
from rtshm.recording.columns import wall_clock
from rtshm.recording.rows import objects, schema

if TYPE_CHECKING:
    from foxglove.websocket import Client, Parameter

    from rtshm.recording import Array
    from rtshm.recording.conditions import Conditions
    from rtshm.region import Region
    from rtshm.samples import Samples

_SLICE_MS = 100
# Of an array that is read at once.
_MOST = 1 << 12


class Sink(Protocol):
    """Where samples go."""

    def send(self, conditions: Conditions, array: Array) -> None: ...

    def close(self) -> None: ...


def lines(conditions: Conditions, array: Array) -> Iterator[str]:
    """A line of JSON for each sample: `timestamp`, in seconds since 1970, and the region's fields.

    A number that JSON does not have is null.
    """
    times = wall_clock(conditions, array).astype("i8").tolist()
    for time_ns, sample in zip(times, objects(array, lambda number: None), strict=True):
        found = {"timestamp": time_ns / 1e9, conditions.region: sample}
        yield json.dumps(found, separators=(",", ":")) + "\n"


class Lines:
    """Sends lines by a function, of a pipe for instance."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def send(self, conditions: Conditions, array: Array) -> None:
        self._write("".join(lines(conditions, array)))

    def close(self) -> None:
        pass


class Udp:
    """Sends a datagram for each sample, as PlotJuggler's UDP server reads them. Raises OSError."""

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._address: Any = found[4]
        self._socket = socket.socket(*found[:3])

    def send(self, conditions: Conditions, array: Array) -> None:
        for line in lines(conditions, array):
            self._socket.sendto(line.encode(), self._address)

    def close(self) -> None:
        self._socket.close()


class Foxglove:
    """A WebSocket server for Foxglove: a topic for each region, and its fields as parameters.

    A parameter `motor.speed` that is set in Foxglove is stored in the region,
    without an announcement, if `regions` has it. Raises ExtraError if
    foxglove-sdk is not installed, OSError if the port is taken.
    """

    def __init__(self, host: str, port: int, regions: Sequence[Region]) -> None:
        need("foxglove", "a server for Foxglove", "foxglove")
        import foxglove
        from foxglove.websocket import Capability, ServerListener

        self._regions = {region.name: region for region in regions}
        self._channels: dict[str, Any] = {}
        self._context = foxglove.Context()
        # The server calls a method for each event, and prints a line for each that is missing.
        listener = type(
            "Listener",
            (ServerListener,),
            {
                "on_get_parameters": self.on_get_parameters,
                "on_set_parameters": self.on_set_parameters,
            },
        )
        try:
            self._server = foxglove.start_server(
                name="rtshm",
                host=host,
                port=port,
                capabilities=[Capability.Parameters] if regions else [],
                server_listener=listener(),
                context=self._context,
            )
        except RuntimeError as error:
            raise OSError(None, str(error), f"{host}:{port}") from error
        self.port = self._server.port
        """The port, which the kernel chose if 0 was given."""

    def send(self, conditions: Conditions, array: Array) -> None:
        import foxglove

        name = conditions.region
        if name not in self._channels:
            self._channels[name] = foxglove.Channel(
                f"/{name}", schema=schema(array.dtype) | {"title": name}, context=self._context
            )
        times = wall_clock(conditions, array).astype("i8").tolist()
        for time_ns, sample in zip(times, objects(array), strict=True):
            self._channels[name].log(json.dumps(sample).encode(), log_time=time_ns)

    def close(self) -> None:
        self._server.stop()

    def on_get_parameters(
        self, _client: Client, names: list[str], _request: str | None = None
    ) -> list[Parameter]:
        from foxglove.websocket import Parameter

        return [
            Parameter(f"{region}.{name}", value=value)
            for region, memory in self._regions.items()
            for name, value in _plain(memory.read()).items()
            if not names or f"{region}.{name}" in names
        ]

    def on_set_parameters(
        self, client: Client, parameters: list[Parameter], _request: str | None = None
    ) -> list[Parameter]:
        from foxglove.websocket import StatusLevel

        for parameter in parameters:
            region, _, name = parameter.name.partition(".")
            values: dict[str, Any] = {name: parameter.get_value()}
            try:
                self._regions[region].update(**values)
            except (KeyError, ValueError, TypeError, OverflowError, OSError) as error:
                self._server.publish_status(f"{parameter.name}: {error}", StatusLevel.Error)
        return self.on_get_parameters(client, [parameter.name for parameter in parameters])


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The numbers, bools and arrays of them of a record; an enum is its number."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, (bool, float)):
            found[name] = value
        elif isinstance(value, int):
            found[name] = int(value)
        elif isinstance(value, list) and value and isinstance(value[0], (int, float)):
            found[name] = [each if isinstance(each, (bool, float)) else int(each) for each in value]
    return found


def stream(
    readers: Sequence[tuple[Conditions, Samples]],
    sink: Sink,
    *,
    every: int = 1,
    stopped: Callable[[], str] = lambda: "",
) -> tuple[int, str]:
    """Send samples as they come, one of `every`; how many were sent, and what ended it.

    It ends when all regions are deleted, and when `stopped`, which is called
    ten times a second, returns a reason.
    """
    poll = select.poll()
    left = {samples.fileno(): (conditions, samples) for conditions, samples in readers}
    for fd in left:
        poll.register(fd, select.POLLIN)
    sent = 0
    while left:
        if why := stopped():
            return sent, why
        for fd, event in poll.poll(_SLICE_MS):
            conditions, samples = left[fd]
            array = samples.read_array(_MOST, wait=False)
            if not len(array) and event & select.POLLHUP:
                poll.unregister(fd)
                del left[fd]
            array = array[array["tick"] % every == 0]
            if len(array):
                sink.send(conditions, array)
                sent += len(array)
    return sent, "the region was deleted"
