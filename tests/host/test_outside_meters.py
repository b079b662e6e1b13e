"""Outside meters: simulated instruments behind real sockets and terminals, logs, an IIO tree."""

from __future__ import annotations

import importlib.util
import os
import pty
import socketserver
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from fdht_host.power.outside.csv_log import CsvOptions, read_log, write_log
from fdht_host.power.outside.line_port import address_of
from fdht_host.power.outside.naming import outside_meter, require_real
from fdht_host.power.outside.quantities import WHOLE_BOARD, decimals_of, number_of
from fdht_host.power.outside.scpi import Dialect, dialects
from fdht_host.power.outside.serial_stream import serial_meter
from fdht_host.power.outside.xadc import XadcOptions, xadc_meter
from fdht_models.errors import ConfigError, DataError, FdhtError, MeasurementError

needs_pyserial = pytest.mark.skipif(
    importlib.util.find_spec("serial") is None,
    reason="NOT TESTED: serial lines; pip install pyserial",
)
RIGOL = {
    "*IDN?": "RIGOL TECHNOLOGIES,DP832A,DP8A000000000,00.01.16",
    "MEAS:POWE? CH2": "2.415",
    "SYST:ERR?": '0,"No error"',
}
KEYSIGHT = {
    "*IDN?": "Keysight Technologies,E36312A,MY00000000,2.1.0",
    "MEAS:VOLT? (@1)": "+5.00000000E+00",
    "MEAS:CURR? (@1)": "+4.80000000E-01",
    "SYST:ERR?": '+0,"No error"',
}


def answering(answers: dict[str, str], line: str) -> str | None:
    return answers.get(line)


@contextmanager
def instrument(answers: dict[str, str]) -> Iterator[str]:
    """A bench supply on a real TCP socket, which says nothing to what it does not know."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                answer = answering(answers, line.decode().strip())
                if answer is not None:
                    self.wfile.write(answer.encode() + b"\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


@contextmanager
def terminal(work: Callable[[int, threading.Event], None]) -> Iterator[str]:
    """A serial line whose other end does `work` with its file descriptor."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    end = threading.Event()
    thread = threading.Thread(target=work, args=(master, end), daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        end.set()
        thread.join(5)
        os.close(slave)
        os.close(master)


def sending(*lines: str, pause: float = 0.01) -> Callable[[int, threading.Event], None]:
    """Sends the lines again and again."""

    def work(master: int, end: threading.Event) -> None:
        place = 0
        while not end.wait(pause):
            os.write(master, lines[place % len(lines)].encode() + b"\r\n")
            place += 1

    return work


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fdht_host.power.outside.scpi._CONNECTION_SECONDS", 0.3)
    monkeypatch.setattr("fdht_host.power.outside.serial_stream._LINE_SECONDS", 0.3)


# SCPI ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "settings", "watts"),
    [
        (RIGOL, ["dialect=rigol-dp800", "channel=2"], 2.415),
        (KEYSIGHT, ["dialect=keysight-e36300"], 2.4),
        ({**KEYSIGHT, "FETC:POW?": "2.5"}, ["watts=FETC:POW?"], 2.5),
    ],
    ids=["watts", "volts and amperes", "own query"],
)
def test_a_bench_supply_by_tcp(answers: dict[str, str], settings: list[str], watts: float) -> None:
    with instrument(answers) as place:
        meter = outside_meter(f"scpi:{place}", [*settings, "interval=0.01"]).live()
        assert meter is not None
        meter.start()
        time.sleep(0.15)
        trace = meter.stop()
    assert len(trace.watts) > 5
    np.testing.assert_allclose(trace.watts, watts)
    assert (trace.sensor.kind, trace.sensor.rails) == ("measured", (WHOLE_BOARD,))


@pytest.mark.parametrize(
    ("answers", "settings", "said"),
    [
        (KEYSIGHT, ["dialect=rigol-dp800"], "is no Rigol DP800 series"),
        (KEYSIGHT, [], "does not answer 'MEAS:VOLT\\?'"),
        ({**KEYSIGHT, "P?": "-113"} | {"SYST:ERR?": '-113,"Undefined header"'}, ["watts=P?"],
         "Undefined header"),
        ({**KEYSIGHT, "P?": "9.91E37"}, ["watts=P?"], "answers 'P\\?' by '9.91E37'"),
        ({**KEYSIGHT, "P?": "ON"}, ["watts=P?"], "by 'ON'"),
        ({}, [], "sent no line within"),
        ({"*IDN?": "x" * 9000}, [], "without an end of line"),
    ],
)  # fmt: skip
def test_a_meter_that_speaks_another_dialect(
    answers: dict[str, str], settings: list[str], said: str
) -> None:
    with instrument(answers) as place, pytest.raises(MeasurementError, match=said) as error:
        outside_meter(f"scpi:{place}", settings).live()
    assert "\n" not in str(error.value)


def test_a_meter_that_is_not_there() -> None:
    with instrument({}) as place:
        pass
    with pytest.raises(MeasurementError, match="does not answer on port"):
        outside_meter(f"scpi:{place}").live()


@needs_pyserial
def test_a_bench_supply_by_a_serial_line() -> None:
    def work(master: int, end: threading.Event) -> None:
        rest = b""
        while not end.is_set():
            try:
                rest += os.read(master, 100)
            except OSError:
                return
            while b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                answer = answering(RIGOL, line.decode().strip())
                if answer is not None:
                    os.write(master, answer.encode() + b"\n")
                elif line == b"end":
                    return

    with terminal(work) as place:
        meter = outside_meter(f"scpi:{place}", ["dialect=rigol-dp800", "channel=2"]).live()
        assert meter is not None
        assert meter.try_once() == 2.415
        with Path(place).open("wb", buffering=0) as line:
            line.write(b"end\n")


def test_dialects_are_data_that_are_checked(tmp_path: Path) -> None:
    assert {"generic", "rigol-dp800", "siglent-spd", "keysight-e36300"} <= set(dialects())
    for text in (
        '[a]\ntitle="t"\nexpects="("\nsetup=[]\nsource="s"\nwatts="P?"',
        '[a]\ntitle="t"\nexpects="."\nsetup=[]\nsource="s"\nwatts="P"',
        '[a]\ntitle="t"\nexpects="."\nsetup=[]\nsource="s"\nvolts="V?"',
        '[a]\ntitle="t"\nexpects="."\nsetup=[]\nsource="s"\nwatts="P?"\nmore=1',
    ):
        path = tmp_path / "dialects.toml"
        path.write_text(text)
        dialects.cache_clear()
        with pytest.raises(ConfigError):
            dialects(path)
    dialects.cache_clear()
    with pytest.raises(ConfigError, match="either the query"):
        Dialect("t", ".", (), "s", volts="V?", amperes="A?", watts="P?")


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("meter.lan", ("meter.lan", 5025)),
        ("10.0.0.7:5555", ("10.0.0.7", 5555)),
        ("[fe80::1]:4000", ("fe80::1", 4000)),
    ],
)
def test_addresses(place: str, found: tuple[str, int]) -> None:
    assert address_of(place) == found


@pytest.mark.parametrize("place", ["", "a:b", "a:99999", "http://a", "fe80::1", "a b"])
def test_what_is_no_address(place: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        address_of(place)


# Streams ------------------------------------------------------------------------------------------


@needs_pyserial
def test_a_stream_of_lines() -> None:
    with terminal(sending("5.00;480", "5,00;x", pause=0.005)) as place:
        options = ["separator=semicolon", "volts=1", "amperes=2", "amperes_unit=m"]
        meter = outside_meter(f"serial:{place}", [*options, "interval=0.01"])
        live = serial_meter(place, meter.options)
        live.start()
        time.sleep(0.3)
        trace = live.stop()
    np.testing.assert_allclose(trace.watts, 2.4)
    assert trace.missed > 5
    # Moments are of arrival, one line each 10 ms.
    assert np.median(np.diff(trace.timestamps_ns)) == pytest.approx(10e6, rel=0.5)


@needs_pyserial
def test_a_stream_that_says_other_things_or_nothing() -> None:
    with (
        terminal(sending("hello")) as place,
        pytest.raises(MeasurementError, match="field 1 is no number"),
    ):
        outside_meter(f"serial:{place}", ["watts=1"]).live()
    with (
        terminal(lambda master, end: end.wait(5)) as place,
        pytest.raises(MeasurementError, match="sent no line within"),
    ):
        outside_meter(f"serial:{place}", ["watts=1"]).live()
    with pytest.raises(MeasurementError, match="cannot be opened"):
        outside_meter("serial:/dev/no-such-line", ["watts=1"]).live()


def test_without_pyserial_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MeasurementError, match=r"needs pyserial; pip install fdht\[meters\]"):
        outside_meter("serial:/dev/ttyUSB0", ["watts=1"]).live()


# Names and options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("usb", [], "is no meter"),
        ("scpi", [], "does not say where"),
        ("serial:COM3", ["watts=1"], "is no serial line"),
        ("scpi:h", ["colour=red"], "is no option of this meter"),
        ("scpi:h", ["channel"], "is no KEY=VALUE"),
        ("scpi:h", ["channel=two"], "must be a number"),
        ("scpi:h", ["channel=1.5"], "must be a number"),
        ("scpi:h", ["channel=1", "channel=2"], "twice"),
        ("scpi:h", ["dialect=rigol"], "rigol-dp800"),
        ("scpi:h", ["interval=-1"], "interval"),
        ("serial:/dev/x", [], "either the number of the field"),
        ("serial:/dev/x", ["watts=1", "decimal=comma"], "that of decimals"),
        ("csv:f", ["watts=W"], "state time=COLUMN"),
        ("csv:f", ["time=t"], "either the name of the column"),
        ("csv:f", ["time=t", "watts=t"], "one column twice"),
        ("csv:f", ["time=t", "watts=W", "watts_unit=M"], "is not allowed"),
        ("xadc:voltage9", ["supply_volts=5"], "shunt_ohms"),
        ("xadc:voltage9", ["shunt_ohms=0.1"], "one of both"),
    ],
)
def test_names_and_options_that_cannot_be(name: str, settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        outside_meter(name, settings)


def test_a_real_meter_measures_nothing_of_a_simulated_board() -> None:
    for name, settings in (("scpi:h", []), ("csv:f", ["time=t", "watts=W"])):
        meter = outside_meter(name, settings)
        require_real(meter, simulated=False)
        with pytest.raises(MeasurementError, match="measures nothing of a simulated board"):
            require_real(meter, simulated=True)
    require_real(outside_meter("csv"), simulated=True)


def test_numbers_as_meters_write_them() -> None:
    assert number_of(' "+1.50E-3" ') == 1.5e-3
    assert number_of("0,25", "comma") == 0.25
    for text in ("", "-", "OL", "nan", "inf", "1_000", "1,5", "0x1", "١"):
        assert number_of(text) is None
    assert number_of("1.5", "comma") is None
    assert decimals_of("5.0114") == pytest.approx(1e-4)
    assert decimals_of("1,50e-1", "comma") == pytest.approx(1e-3)


# Logs ---------------------------------------------------------------------------------------------

ROWS = [f"{k * 0.1:.1f},5.01,0.48{k % 3}" for k in range(60)]


def log(tmp_path: Path, header: str, rows: list[str]) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


VOLTS = CsvOptions(time="Time(s)", volts="U(V)", amperes="I(A)")


def test_a_log_of_volts_and_amperes(tmp_path: Path) -> None:
    above = "USB meter 3.1\n\nTime(s),U(V),I(A)"
    trace, notes = read_log(log(tmp_path, above, ROWS), VOLTS)
    assert len(trace.watts) == 60
    assert trace.watts[1] == pytest.approx(5.01 * 0.481)
    np.testing.assert_array_equal(np.diff(trace.timestamps_ns), 100_000_000)
    # One step of volts times amperes, and the other way round.
    assert trace.sensor.resolution_watts == pytest.approx(5.01 * 0.001 + 0.48 * 0.01, rel=0.01)
    assert trace.sensor.update_interval_seconds == pytest.approx(0.1)
    assert notes.told() == ""


def test_decimal_commas_semicolons_and_units(tmp_path: Path) -> None:
    rows = [f'{k * 100};"{2400 + k},5"' for k in range(10)]
    options = CsvOptions(
        time="ms", time_format="milliseconds", watts="P", watts_unit="m", decimal="comma"
    )
    trace, _ = read_log(log(tmp_path, "ms;P", rows), options)
    np.testing.assert_allclose(trace.watts, 2.4005 + 0.001 * np.arange(10))
    assert trace.timestamps_ns[-1] == 900_000_000


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (["23:59:59.9", "00:00:00.0", "00:00:00.1"], "clock"),
        (["2026-01-31T23:59:59.9", "2026-02-01 00:00:00.000", "2026-02-01T00:00:00.1Z"], "iso"),
    ],
)
def test_times_of_day(tmp_path: Path, times: list[str], form: str) -> None:
    path = log(tmp_path, "t,W", [f"{moment},2.4" for moment in times])
    trace, _ = read_log(path, CsvOptions(time="t", watts="W", time_format=form))
    np.testing.assert_allclose(trace.timestamps_ns, [0, 100_000_000, 200_000_000], atol=1000)


def test_a_log_without_times_has_a_steady_pace(tmp_path: Path) -> None:
    trace, notes = read_log(
        log(tmp_path, "W", ["2.4", "2.5", "-", "2.6"]), CsvOptions(watts="W", interval=0.02)
    )
    np.testing.assert_array_equal(trace.timestamps_ns, [0, 20_000_000, 60_000_000])
    assert notes.missing == 1


def test_few_bad_lines_are_left_out_and_told(tmp_path: Path) -> None:
    rows = list(ROWS)
    rows[10] = "1.0,5.01,"
    rows[20] = rows[19]
    rows[30] = "3.0,5.01,-0.01"
    rows[41:50] = []
    trace, notes = read_log(log(tmp_path, "Time(s),U(V),I(A)", rows), VOLTS)
    assert (notes.missing, notes.repeated, notes.negative, notes.gaps) == (1, 1, 1, 1)
    assert trace.missed == 3
    assert "1 lines without a number, 1 lines that repeat a time" in notes.told()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [row.replace(".", ":") for row in rows], "lack a number"),
        (lambda rows: [row[0] + row[row.index(","):] for row in rows], "repeat the time"),
        (lambda rows: [row.replace(",0.48", ",-0.48") for row in rows], "turn the meter round"),
        (lambda rows: [*rows[:30], *rows[10:]], "time runs backwards"),
        (lambda rows: rows[:1], "fewer than two readings"),
        (lambda rows: ['"' + rows[0]], "not readable as CSV"),
    ],
)  # fmt: skip
def test_logs_that_cannot_be_used(
    tmp_path: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read_log(log(tmp_path, "Time(s),U(V),I(A)", change(ROWS)), VOLTS)


def test_a_log_without_the_columns_names_those_that_it_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'seconds', 'volts', 'amps'"):
        read_log(log(tmp_path, "seconds,volts,amps", ROWS), VOLTS)


@pytest.mark.parametrize("place", ["missing", "folder", "binary"])
def test_files_that_are_no_logs(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with pytest.raises(FdhtError):
        read_log(tmp_path / place, VOLTS)


def test_the_log_of_a_simulated_meter_is_read_back(tmp_path: Path) -> None:
    trace, _ = read_log(log(tmp_path, "Time(s),U(V),I(A)", ROWS), VOLTS)
    write_log(tmp_path / "again.csv", trace)
    again, _ = read_log(tmp_path / "again.csv", CsvOptions(time="time", watts="modelled watts"))
    np.testing.assert_array_equal(again.timestamps_ns, trace.timestamps_ns)
    np.testing.assert_allclose(again.watts, trace.watts, atol=1e-4)


# XADC ---------------------------------------------------------------------------------------------


def iio(root: Path, **files: str) -> Path:
    device = root / "iio:device0"
    device.mkdir(parents=True)
    for name, text in {"name": "xadc", **files}.items():
        (device / name).write_text(text + "\n")
    return root


def test_a_shunt_at_the_xadc(tmp_path: Path) -> None:
    # 0.1 ohm, 20-fold: 0.48 A are 0.96 V, 1966 steps of 0.244 mV x 2.
    root = iio(
        tmp_path,
        in_voltage9_raw="1966",
        in_voltage9_scale="0.488281250",
        in_voltage10_vaux_raw="1024",
        in_voltage10_vaux_scale="0.488281250",
        in_voltage10_vaux_offset="0",
    )
    options = XadcOptions(shunt_ohms=0.1, gain=20, supply_volts=5.0, interval=0.01)
    meter = xadc_meter("voltage9", options, root)
    meter.start()
    time.sleep(0.05)
    trace = meter.stop()
    np.testing.assert_allclose(trace.watts, 1966 * 0.48828125e-3 / 2 * 5, rtol=1e-9)
    assert trace.sensor.resolution_watts == pytest.approx(0.48828125e-3 / 2 * 5)
    measured = XadcOptions(shunt_ohms=0.1, gain=20, volts_channel="voltage10", divider=10)
    assert xadc_meter("voltage9", measured, root)._read() == pytest.approx(2.4, rel=1e-3)
    with pytest.raises(MeasurementError, match=r"there are voltage10_vaux, voltage9"):
        xadc_meter("voltage1", options, root)
    with pytest.raises(ConfigError, match="is no channel"):
        xadc_meter("../name", options, root)
    with pytest.raises(MeasurementError, match="holds no xadc"):
        xadc_meter("voltage9", options, tmp_path / "elsewhere")
