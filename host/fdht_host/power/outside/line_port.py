"""Lines of text to and from an instrument, by TCP or a serial line, with time-outs.

TCP is the standard library's; serial lines are pyserial's, in the extra `meters`.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

from fdht_models.errors import ConfigError, MeasurementError, first_line

#: The port of SCPI in raw lines (IANA: scpi-raw).
SCPI_PORT = 5025
#: Bytes of a line at most; more is no answer of a meter.
_MOST_LINE = 4096
_ADDRESS = re.compile(
    r"(\[(?P<six>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^:\[\]/\s]+))(:(?P<port>\d{1,5}))?"
)


class LinePort(Protocol):
    """An open connection."""

    def write(self, line: str) -> None:
        """Sends a line."""

    def read(self) -> str:
        """The next line.

        Raises:
            MeasurementError: none came in time, or it is none.
        """

    def close(self) -> None:
        """Ends the connection."""


class BytePort:
    """A `LinePort` on bytes.

    Args:
        name: of the place, for messages.
        send: all of some bytes.
        receive: some bytes, within the seconds given; none if the other end closed, or in time.
        close: ends the connection.
        timeout_seconds: for a line.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[bytes], Any],
        receive: Callable[[float], bytes],
        close: Callable[[], Any],
        timeout_seconds: float,
    ) -> None:
        self._name, self._send, self._receive, self._close = name, send, receive, close
        self._timeout, self._rest = timeout_seconds, b""

    def write(self, line: str) -> None:
        """See `LinePort.write`."""
        try:
            self._send(line.encode("ascii") + b"\n")
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be written to ({first_line(error)})") from error

    def read(self) -> str:
        """See `LinePort.read`."""
        end = time.monotonic() + self._timeout
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            try:
                found = self._receive(left) if left > 0 else b""
            except OSError as error:
                raise self._error(f"cannot be read ({first_line(error)})") from error
            if not found:
                raise self._error(f"sent no line within {self._timeout:g} s")
            self._rest += found
            if len(self._rest) > _MOST_LINE and b"\n" not in self._rest:
                raise self._error(f"sent {len(self._rest)} bytes without an end of line")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def close(self) -> None:
        """See `LinePort.close`."""
        self._close()

    def _error(self, problem: str) -> MeasurementError:
        return MeasurementError(
            problem, field="meter", value=self._name, remedy="check that it is on, and its settings"
        )


def open_port(place: str, baud: int, timeout_seconds: float = 3.0) -> BytePort:
    """Connects to HOST[:PORT], or opens the serial line /dev/...

    Raises:
        MeasurementError: it does not answer, or pyserial is not installed.
    """
    if place.startswith("/"):
        return _open_serial(place, baud, timeout_seconds)
    host, port = address_of(place)
    try:
        connection = socket.create_connection((host, port), timeout_seconds)
    except OSError as error:
        raise MeasurementError(
            f"does not answer on port {port} ({first_line(error)})",
            field="meter",
            value=host,
            remedy="check address and cable, and that SCPI over a raw socket is on",
        ) from error

    def receive(seconds: float) -> bytes:
        connection.settimeout(seconds)
        try:
            return connection.recv(_MOST_LINE)
        except TimeoutError:
            return b""

    return BytePort(place, connection.sendall, receive, connection.close, timeout_seconds)


def address_of(place: str) -> tuple[str, int]:
    """Host and port of HOST, HOST:PORT or [IPv6]:PORT.

    Raises:
        ConfigError: it is no address.
    """
    found = _ADDRESS.fullmatch(place)
    port = int(found["port"] or SCPI_PORT) if found else 0
    if not found or not 0 < port < 65536:
        raise ConfigError(
            "is no address of a meter",
            field="meter",
            value=place,
            remedy="give HOST, HOST:PORT, [IPv6]:PORT, or a serial line as /dev/ttyUSB0",
        )
    return found["six"] or found["host"], port


def _open_serial(place: str, baud: int, timeout_seconds: float) -> BytePort:
    try:
        import serial
    except ImportError as error:
        raise MeasurementError(
            "needs pyserial",
            field="meter",
            value=place,
            remedy="pip install fdht[meters], or apt-get install python3-serial",
        ) from error
    try:
        line = serial.Serial(place, baud, write_timeout=timeout_seconds, exclusive=True)
        line.reset_input_buffer()  # what was sent before is of another time
    except (OSError, ValueError) as error:
        raise MeasurementError(
            f"cannot be opened ({first_line(error)})",
            field="meter",
            value=place,
            remedy="check the cable, and that this user may open it (group dialout)",
        ) from error

    def receive(seconds: float) -> bytes:
        line.timeout = seconds
        found: bytes = line.read(max(1, line.in_waiting))
        return found

    return BytePort(place, line.write, receive, line.close, timeout_seconds)
