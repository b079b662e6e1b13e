"""Sensors that vanish, answer nonsense or none: one line that says why, and never a figure."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fdht_hls.boards import PowerSensor, get_board
from fdht_host.power.finding import find_meter
from fdht_host.power.hwmon import find_power_file, hwmon_meter, number_in
from fdht_host.power.pmbus import pmbus_meter, pynq_rails
from fdht_host.power.rapl import find_domains
from fdht_models.errors import MeasurementError

STATED: dict[str, Any] = {"update_interval_seconds": 0.004, "resolution_watts": 0.01}


def sensor(root: Path, contents: str | bytes = "5000000\n", name: bytes = b"ina260\n") -> Path:
    folder = root / "hwmon0"
    folder.mkdir(parents=True)
    (folder / "name").write_bytes(name)
    data = contents.encode() if isinstance(contents, str) else contents
    (folder / "power1_input").write_bytes(data)
    return folder / "power1_input"


@pytest.mark.parametrize(
    "contents", ["", "\n", "n/a\n", "nan\n", "5.0\n", "1_000\n", "٣\n", "5000000 W\n", b"\xff\xfe"]
)
def test_a_file_that_holds_no_number_is_refused(tmp_path: Path, contents: str | bytes) -> None:
    path = sensor(tmp_path, contents)
    with pytest.raises(ValueError, match=r"power1_input holds|can't decode"):
        number_in(path)
    with pytest.raises(MeasurementError, match=r"sensor = 'ina260': cannot be read \(.*; check it"):
        hwmon_meter(PowerSensor("ina260", "hwmon", ("all",), **STATED), tmp_path)


def test_a_sensor_that_gives_an_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor(tmp_path)
    read = Path.read_text

    def failing(path: Path, *arguments: Any, **options: Any) -> str:
        if path.name == "power1_input":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", failing)
    with pytest.raises(MeasurementError, match=r"cannot be read \(OSError: \[Errno 5\] Input/outp"):
        hwmon_meter(PowerSensor("ina260", "hwmon", ("all",), **STATED), tmp_path)


def test_names_that_cannot_be_read_hide_no_other_sensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor(tmp_path)
    for number, name in enumerate((b"\xff\xfe\n", b"\n"), start=1):
        (tmp_path / f"hwmon{number}").mkdir()
        (tmp_path / f"hwmon{number}" / "name").write_bytes(name)
    (tmp_path / "hwmon4").mkdir()  # without a name
    assert find_power_file("ina260", tmp_path) == tmp_path / "hwmon0" / "power1_input"
    with pytest.raises(MeasurementError, match="there are ina260, one without a name"):
        find_power_file("ina226", tmp_path)

    def forbidden(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", forbidden)
    with pytest.raises(MeasurementError, match="'ina260': is not among the sensors in"):
        find_power_file("ina260", tmp_path)


def test_a_tree_that_cannot_be_listed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "glob", failing)
    for find in (lambda: find_power_file("ina260", tmp_path), lambda: find_domains(tmp_path)):
        with pytest.raises(MeasurementError, match=r"cannot be listed \(\[Errno 5\] Input/output"):
            find()


class PynqSensor:
    """As `pynq.pmbus.Sensor`: what libsensors writes into a buffer; an error leaves it as it is."""

    name = "12V_power"

    def __init__(self, give: Callable[[], float | None]) -> None:
        self._value, self._give = [0.0], give

    @property
    def value(self) -> float:
        given = self._give()
        if given is not None:
            self._value[0] = given
        return self._value[0]


def rail(give: Callable[[], float | None]) -> dict[str, Any]:
    return {"12V": SimpleNamespace(name="12V", power=PynqSensor(give))}


def test_a_reading_that_libsensors_refuses_is_not_the_one_before() -> None:
    readings = iter([5.0, 5.0, None])
    meter = pmbus_meter(
        PowerSensor("pmbus", "pynq.pmbus", ("12V",), **STATED), rail(lambda: next(readings))
    )
    assert meter._read() == 5.0
    with pytest.raises(ValueError, match="12V_power gave no value"):
        meter._read()


@pytest.mark.parametrize("give", [lambda: None, lambda: float("nan"), lambda: float("inf")])
def test_a_rail_that_gives_nothing_is_refused(give: Callable[[], float | None]) -> None:
    with pytest.raises(MeasurementError, match=r"'pmbus 12V': cannot be read .*gave no value"):
        pmbus_meter(PowerSensor("pmbus", "pynq.pmbus", ("12V",), **STATED), rail(give))


@pytest.mark.parametrize("found", [None, SimpleNamespace(power=None), SimpleNamespace()])
def test_a_rail_without_power_is_refused(found: object) -> None:
    available = {"5V": found, **rail(lambda: 1.0)}
    with pytest.raises(MeasurementError, match=r"'5V': is not among .* sensor; there are 12V"):
        pmbus_meter(PowerSensor("pmbus", "pynq.pmbus", ("5V",), **STATED), available)


@pytest.mark.parametrize(
    "error", [RuntimeError("cannot use string() on NULL"), UnicodeDecodeError("u", b"x", 0, 1, "")]
)
def test_rails_that_pynq_cannot_list_are_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from pynq import pmbus

    def failing() -> None:
        raise error

    monkeypatch.setattr(pmbus, "get_rails", failing)
    with pytest.raises(MeasurementError, match=r"power rails: pynq cannot list them \(.*; check"):
        pynq_rails()
    # And no more than the reason why the energy of a run is not measured.
    with pytest.raises(MeasurementError, match="pynq cannot list them"):
        find_meter(get_board("zcu104"), hwmon_root=Path("/nowhere"))


@pytest.mark.parametrize("wrap", ["0\n", "-5\n", "", "many\n"])
def test_a_counter_that_wraps_nowhere_is_refused(tmp_path: Path, wrap: str) -> None:
    folder = tmp_path / "intel-rapl:0"
    folder.mkdir()
    for name, contents in (
        ("name", "package-0\n"),
        ("energy_uj", "17\n"),
        ("max_energy_range_uj", wrap),
    ):
        (folder / name).write_text(contents)
    with pytest.raises(MeasurementError, match=r"intel-rapl:0: cannot be read \(max_energy_range"):
        find_domains(tmp_path)
