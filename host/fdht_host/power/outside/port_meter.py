"""A meter behind a connection, which is open only while it records."""

from __future__ import annotations

from collections.abc import Callable

from fdht_host.power.meter import PowerTrace, Sensor
from fdht_host.power.outside.line_port import LinePort
from fdht_host.power.sampling import SamplingMeter


class PortMeter:
    """A `PowerMeter` that connects when it starts.

    Args:
        sensor: what it is.
        connect: opens the connection and prepares the meter.
        read: one reading in watts from it.
        poll_seconds: between two readings.
        at_arrival: see `SamplingMeter`.
    """

    def __init__(
        self,
        sensor: Sensor,
        connect: Callable[[], LinePort],
        read: Callable[[LinePort], float],
        *,
        poll_seconds: float,
        at_arrival: bool = False,
    ) -> None:
        self.sensor = sensor
        self._connect, self._read = connect, read
        self._poll, self._at_arrival = poll_seconds, at_arrival
        self._open: tuple[LinePort, SamplingMeter] | None = None

    def start(self) -> None:
        """See `PowerMeter.start`."""
        port = self._connect()
        meter = SamplingMeter(
            self.sensor,
            lambda: self._read(port),
            poll_seconds=self._poll,
            at_arrival=self._at_arrival,
        )
        try:
            meter.start()
        except BaseException:
            port.close()
            raise
        self._open = port, meter

    def stop(self) -> PowerTrace:
        """See `PowerMeter.stop`."""
        if self._open is None:
            # The same refusal as of any meter.
            return SamplingMeter(self.sensor, lambda: 0.0).stop()
        port, meter = self._open
        self._open = None
        try:
            return meter.stop()
        finally:
            port.close()

    def try_once(self) -> float:
        """One reading, to see that the meter answers.

        Raises:
            MeasurementError: it does not, or speaks otherwise.
        """
        port = self._connect()
        try:
            return self._read(port)
        finally:
            port.close()
