"""Boards as data: one TOML file a board in this directory, read into frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from fdht_models.documents import read_toml_file
from fdht_models.errors import ConfigError, near_matches
from fdht_models.records import read_record

#: The board that is meant where none is named.
DEFAULT_BOARD = "pynq-z2"
BOARDS_DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class Part:
    """A device as the vendor's tools name it.

    Args:
        name: full name, as in `xc7z020clg400-1`.
        device: `xc7z020`.
        package: `clg400`.
        speed: speed grade, `-1`.
    """

    name: str
    device: str
    package: str
    speed: str

    def matches(self, header: str) -> bool:
        """True if a bitstream header's part is this device in this package.

        Vivado writes `7z020clg400` for the Zynq-7000 and `xczu7ev-ffvc1156-2-e` for the
        UltraScale+; the open tools write `xc7z020clg400-1`.
        """
        return _plain(header).startswith(_plain(self.device + self.package))


def _plain(part: str) -> str:
    return part.lower().replace("-", "").removeprefix("xc")


@dataclass(frozen=True)
class Port:
    """A memory port of the processing system that AXI masters of the logic can use.

    Args:
        interface: its name on the processing system's block, as `S_AXI_HP0`.
        width_bits: of its data, at most.
        protocol: that it speaks.
        coherent: it sees the processors' caches (HPC).
    """

    interface: str
    width_bits: Literal[32, 64, 128]
    protocol: Literal["AXI3", "AXI4"]
    coherent: bool = False


@dataclass(frozen=True)
class Ddr:
    """The processing system's memory.

    Args:
        kind: `DDR3`, `DDR4`, `LPDDR4`.
        size_mib: its size.
        width_bits: of its bus.
        transfers_mhz: transfers a second on each wire, in millions: twice the clock.
    """

    kind: str
    size_mib: int
    width_bits: int
    transfers_mhz: float

    @property
    def peak_gigabytes_per_second(self) -> float:
        """What the bus can carry at most; refresh and turns of the bus take some of it away."""
        return self.width_bits / 8 * self.transfers_mhz / 1000

    @property
    def arithmetic(self) -> str:
        """How the peak comes about, for people."""
        return (
            f"{self.width_bits} bits / 8 x {self.transfers_mhz:g} million transfers/s "
            f"= {self.peak_gigabytes_per_second:.3g} GB/s peak"
        )


@dataclass(frozen=True)
class ProcessingSystem:
    """How Vivado is told of the board's processing system.

    Args:
        preset: "board_part": by the board file, which must be installed; "properties": by
            `properties` alone.
        reference_mhz: clock that the processing system gets from the board.
        properties: of the block, without the prefix `CONFIG.`; set after the board file's.
    """

    preset: Literal["board_part", "properties"]
    reference_mhz: float
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """A PYNQ image for the board: the version of pynq, and who gives it out."""

    version: str
    source: str


@dataclass(frozen=True)
class Resources:
    """What the programmable logic holds."""

    lut: int
    ff: int
    dsp: int
    bram36: int


@dataclass(frozen=True)
class PowerSensor:
    """A sensor on the board.

    Args:
        name: as its driver names it.
        access: what reads it.
        rails: what it covers.
        update_interval_seconds: time between two new values; None where it must be measured.
        resolution_watts: one step of a reading; None where it is not known.
    """

    name: str
    access: Literal["pynq.pmbus", "hwmon", "modelled"]
    rails: tuple[str, ...]
    update_interval_seconds: float | None = None
    resolution_watts: float | None = None


@dataclass(frozen=True)
class PowerModel:
    """Modelled power of a simulated board; nothing in it was measured.

    Args:
        idle_watts: bitstream loaded, clocks on, core idle.
        active_watts: core running (total, not on top of idle).
        drift_watts: amplitude of a slow sinusoidal drift.
        drift_period_seconds: its period.
        noise_watts: standard deviation of one reading.
    """

    idle_watts: float
    active_watts: float
    drift_watts: float
    drift_period_seconds: float
    noise_watts: float

    def __post_init__(self) -> None:
        if self.drift_period_seconds <= 0:
            raise ConfigError(
                "must be positive", field="drift_period_seconds", value=self.drift_period_seconds
            )


@dataclass(frozen=True)
class Board:
    """A board.

    Args:
        name: as the command line takes it; equals the file's name.
        title: for people.
        family: the processing system.
        simulated: True if its programmable logic is a simulation.
        clock_mhz: the core's target clock.
        part: the device.
        processing_system: how it is set up.
        ports: memory ports, the one to use first in front.
        ddr: the memory.
        resources: of the programmable logic.
        board_part: name of the board file, without its version; None where there is none.
        power_sensors: on the board; empty where there are none.
        images: PYNQ images that serve it.
        power_model: of a simulated board, else None.
        sources: where each fact comes from, by key.
    """

    name: str
    title: str
    family: Literal["zynq7000", "zynqmp"]
    simulated: bool
    clock_mhz: float
    part: Part
    processing_system: ProcessingSystem
    ports: tuple[Port, ...]
    ddr: Ddr
    resources: Resources
    board_part: str | None = None
    power_sensors: tuple[PowerSensor, ...] = ()
    power_model: PowerModel | None = None
    images: tuple[Image, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.simulated != (self.power_model is not None):
            raise ConfigError(
                "belongs to simulated boards, and to each of them",
                field="power_model",
                remedy="set simulated, or remove the table",
            )
        if not self.ports:
            raise ConfigError("names no memory port", field="ports", remedy="add one")
        if self.processing_system.preset == "board_part" and self.board_part is None:
            raise ConfigError(
                "is missing, and the preset needs it", field="board_part", remedy="add it"
            )

    @property
    def port(self) -> Port:
        """The memory port that is used first."""
        return self.ports[0]


def load_board(path: Path) -> Board:
    """Reads a board file.

    Raises:
        ConfigError: it cannot be read, is not TOML, has an unknown or missing key, or a value of
            a wrong type.
    """
    return read_record(Board, read_toml_file(path), source=path.name, error=ConfigError)


@lru_cache(maxsize=1)
def board_names() -> tuple[str, ...]:
    """Names of the boards that ship with the package, sorted."""
    return tuple(sorted(path.stem for path in BOARDS_DIRECTORY.glob("*.toml")))


@lru_cache
def get_board(name: str) -> Board:
    """Returns a board by name.

    Raises:
        ConfigError: there is none of that name; the message lists near matches.
    """
    if name not in board_names():
        raise ConfigError(
            "is not a known board",
            field="board",
            value=name,
            remedy=near_matches(name, board_names()),
        )
    return load_board(BOARDS_DIRECTORY / f"{name}.toml")


def board_of(name: str | None, part: str | None = None) -> Board:
    """The board that is meant: the named one, or else a real one with that part, or the default.

    Raises:
        ConfigError: there is none of that name.
    """
    if name is not None:
        return get_board(name)
    default = get_board(DEFAULT_BOARD)
    boards = (default, *(get_board(one) for one in board_names()))
    return next((one for one in boards if one.part.name == part), default)
