"""The host CPU's own energy counters: Running Average Power Limit, by the kernel's powercap tree.

Each package is a folder `intel-rapl:<number>` (on AMD too) with `energy_uj`, which wraps round at
`max_energy_range_uj`. Reading it needs root since Linux 5.10; where it cannot be read, the CPU's
energy is unmeasured and stays so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fdht_host.clocks import NANOSECONDS
from fdht_host.power.hwmon import folders_in, number_in
from fdht_host.power.meter import PowerTrace, Sensor
from fdht_host.power.sampling import SamplingMeter
from fdht_models.arguments import seconds
from fdht_models.errors import MeasurementError

POWERCAP = Path("/sys/class/powercap")
#: A quarter of a tick that schedulers have anyway; the counter itself moves about every 1 ms.
_POLL_SECONDS = 0.01
# The usual energy unit, 2^-14 J (Intel SDM, MSR_RAPL_POWER_UNIT).
_STEP_JOULES = 2.0**-14
# An assumption: vendors state no bound; published comparisons with wall meters find a few per cent.
_GAIN_ERROR = 0.05


@dataclass(frozen=True)
class Domain:
    """One package: where its counter is and where that wraps round (microjoules)."""

    name: str
    counter: Path
    wrap_microjoules: int

    def read(self) -> int:
        """The counter in microjoules.

        Raises:
            OSError: it cannot be read.
            ValueError: it holds no number.
        """
        return number_in(self.counter)


class EnergyCounter:
    """Joules of all packages since the first reading, across wraps.

    A wrap is seen if the counter is read at least once each time round, which takes a minute at
    the least.
    """

    def __init__(self, domains: tuple[Domain, ...]) -> None:
        self._domains = domains
        self._former: list[int] | None = None
        self._microjoules = 0

    def read(self) -> float:
        """Joules since the first call, which returns 0."""
        values = [domain.read() for domain in self._domains]
        former = self._former or values
        for domain, before, now in zip(self._domains, former, values, strict=True):
            self._microjoules += now - before + (domain.wrap_microjoules if now < before else 0)
        self._former = values
        return self._microjoules * 1e-6


def find_domains(root: Path = POWERCAP) -> tuple[Domain, ...]:
    """Returns the packages whose counters can be read.

    Raises:
        MeasurementError: there is none; the message says why.
    """
    remedy = "the CPU's energy stays unmeasured"
    folders = [entry for entry in folders_in(root, "*") if re.fullmatch(r".*rapl:\d+", entry.name)]
    if not folders:
        raise MeasurementError("holds no RAPL domain", field=str(root), remedy=remedy)
    domains = []
    for folder in folders:
        try:
            name = (folder / "name").read_text().strip()
            if not name.startswith("package"):
                continue  # "psys" and the like contain the packages, or other things
            wrap = number_in(folder / "max_energy_range_uj")
            if wrap <= 0:
                # Energy would run backwards at each wrap.
                raise ValueError(f"max_energy_range_uj is {wrap}")
            domain = Domain(name, folder / "energy_uj", wrap)
            domain.read()
        except PermissionError as error:
            raise MeasurementError(
                "may not be read",
                field=str(folder / "energy_uj"),
                remedy=f"run as root, or {remedy}",
            ) from error
        except (OSError, ValueError) as error:
            raise MeasurementError(
                f"cannot be read ({error})", field=str(folder), remedy=remedy
            ) from error
        domains.append(domain)
    if not domains:
        raise MeasurementError("holds no package domain", field=str(root), remedy=remedy)
    return tuple(domains)


def rapl_meter(root: Path = POWERCAP, poll_seconds: float = _POLL_SECONDS) -> SamplingMeter:
    """Returns the meter of the host's CPU packages.

    Raises:
        MeasurementError: there is no RAPL, or it cannot be read.
    """
    poll_seconds = seconds(poll_seconds, "poll_seconds")
    domains = find_domains(root)
    sensor = Sensor(
        name="RAPL",
        kind="measured",
        rails=tuple(domain.name for domain in domains),
        resolution_watts=_STEP_JOULES / poll_seconds,
        gain_error=_GAIN_ERROR,
        update_interval_seconds=poll_seconds,
    )

    def to_trace(times: npt.NDArray[np.int64], joules: npt.NDArray[np.float64]) -> PowerTrace:
        watts = np.diff(joules) / (np.diff(times) / NANOSECONDS)
        return PowerTrace(times, np.concatenate([watts[:1], watts]), sensor, joules - joules[:1])

    # Joules since the counter was made; a trace starts from its own first reading.
    return SamplingMeter(
        sensor, EnergyCounter(domains).read, to_trace=to_trace, poll_seconds=poll_seconds
    )
