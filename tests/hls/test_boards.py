from __future__ import annotations

import re
from pathlib import Path

import pytest

from fdht_hls.boards import BOARDS_DIRECTORY, board_names, get_board, load_board
from fdht_models.errors import ConfigError

PYNQ_Z2 = (BOARDS_DIRECTORY / "pynq-z2.toml").read_text()
SIM = (BOARDS_DIRECTORY / "sim.toml").read_text()


def changed(tmp_path: Path, text: str, old: str, new: str) -> Path:
    assert text.count(old) == 1
    path = tmp_path / "board.toml"
    path.write_text(text.replace(old, new))
    return path


def test_every_board_loads_under_its_file_name():
    assert set(board_names()) == {
        "sim",
        "pynq-z1",
        "pynq-z2",
        "zcu102",
        "zcu104",
        "kv260",
        "ultra96-v2",
    }
    for name in board_names():
        board = get_board(name)
        assert board.name == name
        assert board.part.name.startswith(board.part.device)
        assert board.part.package in board.part.name
        assert {"part", "resources", "ddr"} <= set(board.sources)
        assert board.simulated or {"ports", "processing_system", "images"} <= set(board.sources)


@pytest.mark.parametrize(
    ("board", "peak"),
    [("pynq-z1", 2.1), ("pynq-z2", 2.1), ("zcu102", 17.072), ("zcu104", 17.072), ("kv260", 19.2),
     ("ultra96-v2", 4.264)],
)  # fmt: skip
def test_the_peak_of_the_memory_comes_with_its_arithmetic(board, peak):
    ddr = get_board(board).ddr
    assert ddr.peak_gigabytes_per_second == pytest.approx(peak)
    assert ddr.arithmetic.startswith(f"{ddr.width_bits} bits / 8 x {ddr.transfers_mhz:g} million")


def test_ports_are_those_of_the_family():
    for name in board_names():
        board = get_board(name)
        zynq7000 = board.family == "zynq7000"
        assert board.port is board.ports[0]
        assert len({port.interface for port in board.ports}) == len(board.ports)
        assert {port.protocol for port in board.ports} == {"AXI3" if zynq7000 else "AXI4"}
        assert {port.width_bits for port in board.ports} == {64 if zynq7000 else 128}
        for port in board.ports:
            assert port.coherent == ("HPC" in port.interface)


def test_only_simulated_boards_have_modelled_power():
    for name in board_names():
        board = get_board(name)
        modelled = [sensor for sensor in board.power_sensors if sensor.access == "modelled"]
        assert board.simulated == bool(modelled) == (board.power_model is not None)
    model = get_board("sim").power_model
    assert model is not None and model.active_watts > model.idle_watts > 0


@pytest.mark.parametrize(
    ("board", "header", "matches"),
    [
        ("pynq-z2", "7z020clg400", True),  # Vivado
        ("pynq-z2", "xc7z020clg400-1", True),  # the open tools
        ("pynq-z2", "7z020clg484", False),
        ("pynq-z2", "7z010clg400", False),
        ("zcu104", "xczu7ev-ffvc1156-2-e", True),
        ("zcu104", "xczu7eg-ffvc1156-2-e", False),
        ("kv260", "xck26-sfvc784-2LV-c", True),
        ("kv260", "7z020clg400", False),
    ],
)
def test_a_bitstreams_part_is_compared(board, header, matches):
    assert get_board(board).part.matches(header) is matches


def test_an_unknown_board_is_refused_with_near_matches():
    with pytest.raises(
        ConfigError, match=r"board = 'pynqz2'.*did you mean 'pynq-z2' or 'pynq-z1'\?"
    ):
        get_board("pynqz2")
    with pytest.raises(
        ConfigError, match="choose one of kv260, pynq-z1, pynq-z2, sim, ultra96-v2, zcu102"
    ):
        get_board("qqqqq")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lut = 53200",
            "luts = 53200",
            r"resources\.luts: there is no such key; did you mean 'lut'",
        ),
        ("lut = 53200", "", r"resources\.lut: is missing"),
        ("lut = 53200", "lut = true", r"resources\.lut = True: must be a whole number"),
        ("lut = 53200", 'lut = "many"', r"resources\.lut = 'many': must be a whole number"),
        ('family = "zynq7000"', 'family = "zynq"', "family = 'zynq': is not allowed.*zynq7000"),
        ('title = "TUL PYNQ-Z2"', "title = 3", "title = 3: must be a text"),
        ("simulated = false", "simulated = 0", "simulated = 0: must be true or false"),
        ("simulated = false", "simulated = true", "power_model: belongs to simulated boards"),
        ("clock_mhz = 100.0", "clock_mhz = 100.0\nclock_mhz = 3", "is not TOML"),
        ("[ddr]", "[dr]", "dr: there is no such key; did you mean 'ddr'"),
        (
            'interface = "S_AXI_HP1"',
            'interfase = "S"',
            r"ports\[1\]\.interfase: there is no such key",
        ),
        ("reference_mhz = 50.0", "", r"processing_system\.reference_mhz: is missing"),
        ('preset = "properties"', 'preset = "file"', r"processing_system\.preset = 'file': is not"),
        (
            'preset = "properties"',
            'preset = "board_part"\nx = 1',
            r"processing_system\.x: there is no such",
        ),
        ('version = "3.1"', "version = 3.1", r"images\[1\]\.version = 3\.1: must be a text"),
        ("[resources]", "[ressources]", "ressources: there is no such key; did you mean 'res"),
        (
            'board_part = "tul',
            'board_parts = "tul',
            "board_parts: there is no such key; did you mea",
        ),
        (
            "[sources]",
            "[[power_sensors]]\nnam = 'x'\n[sources]",
            r"power_sensors\[0\]\.nam: there is no",
        ),
        ("[sources]", "[power_sensors]\n[sources]", "power_sensors = {}: must be a list"),
        ('ddr = "TUL', 'ddr = 3 # "TUL', r"sources\.ddr = 3: must be a text"),
    ],
)
def test_a_bad_board_file_is_refused_with_the_dotted_path(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message):
        load_board(changed(tmp_path, PYNQ_Z2, old, new))


def test_whole_numbers_may_stand_for_real_ones(tmp_path):
    path = changed(tmp_path, PYNQ_Z2, "clock_mhz = 100.0", "clock_mhz = 100")
    assert load_board(path).clock_mhz == 100.0


def test_a_bad_power_model_is_refused_with_the_dotted_path(tmp_path):
    path = changed(tmp_path, SIM, "drift_period_seconds = 60.0", "drift_period_seconds = 0")
    message = r"board\.toml: power_model\.drift_period_seconds = 0\.0: must be positive"
    with pytest.raises(ConfigError, match=message):
        load_board(path)


def test_a_table_in_the_place_of_a_value_is_refused(tmp_path):
    path = tmp_path / "board.toml"
    text = re.sub(r"\[ddr\]\n(.*\n)*?\n", "", PYNQ_Z2)
    path.write_text(text.replace("[part]", "ddr = 3\n[part]"))
    with pytest.raises(ConfigError, match=r"ddr = 3: must be a table"):
        load_board(path)


def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_board(tmp_path / "none.toml")


def test_a_board_without_ports_or_board_file_is_refused(tmp_path):
    path = tmp_path / "board.toml"
    text = re.sub(r"\[\[ports\]\]\n(\w.*\n)+", "", PYNQ_Z2)
    path.write_text("ports = []\n" + text)
    with pytest.raises(ConfigError, match=r"board\.toml: ports: names no memory port"):
        load_board(path)
    text = re.sub("board_part = .*\n", "", (BOARDS_DIRECTORY / "zcu104.toml").read_text())
    path.write_text(re.sub("board_part = .*\n", "", text, count=1))
    with pytest.raises(ConfigError, match="board_part: is missing, and the preset needs it"):
        load_board(path)
