"""Our hand-off file and `.bit` header under every pynq that may read them, beside real ones.

pynq 4.0.0 wants an environment of its own: `make pynq4` makes it, and without it those tests are
skipped.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fdht_hls.boards import get_board
from fdht_hls.registers import REGISTERS, VLNV, WINDOW
from fdht_overlays.bitfile import BitFile
from fdht_overlays.design import CORE, CORE_ADDRESS, MASTERS
from fdht_overlays.hwh import fabric_clock, hwh_text

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parent / "samples"
#: Seconds in which an interpreter must have read all files.
TIMEOUT = 120
#: Version of pynq -> the interpreter that has it.
INTERPRETERS = {"3": Path(sys.executable), "4": ROOT / ".venv-pynq4" / "bin" / "python"}
#: Real files, and the core of Vitis HLS in each that ours is compared with.
REAL = {
    "pynq-z1-base-color-convert.hwh": "video/hdmi_out/color_convert",
    "pynq-z2-base-pixel-pack.hwh": "video/hdmi_in/pixel_pack",
    "resizer.hwh": "resize_accel_0",
}
OPEN_CLOCK_MHZ = 50.0


def real_file(name: str) -> Path:
    """A sample, or the file that pynqmetadata ships."""
    if (SAMPLES / name).is_file():
        return SAMPLES / name
    import pynqmetadata

    return Path(pynqmetadata.__file__).parent / "tests" / "hwhs" / name


@pytest.fixture(scope="module")
def bitfile() -> BitFile:
    data = b"\xff" * 16 + bytes.fromhex("000000bb11220044") + b"\xff" * 8 + b"\xaa\x99\x55\x66"
    return BitFile("fdht_wrapper", "xc7z020clg400-1", data)


@pytest.fixture(scope="module", params=sorted(INTERPRETERS))
def read(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, bitfile: BitFile
) -> Mapping[str, Any]:
    """What a version of pynq reads: file name -> its views."""
    interpreter = INTERPRETERS[request.param]
    if not interpreter.is_file():
        pytest.skip(f"pynq {request.param} WAS NOT TESTED: `make pynq4` installs it")
    directory = tmp_path_factory.mktemp("handoff")
    (directory / "sim.hwh").write_text(hwh_text(get_board("sim"), fabric_clock(100.0)))
    (directory / "open.hwh").write_text(
        hwh_text(get_board("pynq-z2"), fabric_clock(OPEN_CLOCK_MHZ))
    )
    (directory / "open.bit").write_bytes(bitfile.to_bytes())
    paths = [directory / name for name in ("sim.hwh", "open.hwh", "open.bit")]
    paths += [path for path in map(real_file, REAL) if path.is_file()]
    done = subprocess.run(
        [interpreter, Path(__file__).with_name("read_handoff.py"), *paths],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("version").split(".")[0] == request.param
    return {Path(path).name: value for path, value in found.items()}


@pytest.fixture(params=["sim.hwh", "open.hwh"])
def ours(request: pytest.FixtureRequest, read: Mapping[str, Any]) -> Mapping[str, Any]:
    return read[request.param]


def test_the_core_is_found_where_it_is(ours: Mapping[str, Any]):
    assert set(ours["ip"]) == {CORE, "processing_system7_0"}
    core = ours["ip"][CORE]
    assert core["type"] == VLNV
    assert core["mem_id"] == "s_axi_control"
    assert (core["phys_addr"], core["addr_range"]) == (CORE_ADDRESS, WINDOW)
    parameters = core["parameters"]
    assert int(parameters["C_S_AXI_CONTROL_BASEADDR"], 16) == CORE_ADDRESS
    for master in MASTERS:
        assert parameters[f"C_{master.upper()}_DATA_WIDTH"] == "64"


def test_every_register_is_found(ours: Mapping[str, Any]):
    registers = ours["ip"][CORE]["registers"]
    for register in REGISTERS:
        words = register.width // 32
        for word in range(words):
            name = register.name if words == 1 else f"{register.name}_{word + 1}"
            found = registers.pop(name)
            assert found["address_offset"] == register.offset + 4 * word
            assert (found["size"], found["access"]) == (32, register.access)
            fields = {key: (f["bit_offset"], f["bit_width"]) for key, f in found["fields"].items()}
            wanted = {field.name: (field.low, field.width) for field in register.fields}
            assert fields == (wanted or {name: (0, 32)})
    assert registers == {}


def test_clock_interrupt_and_reset(read: Mapping[str, Any]):
    for name, mhz in (("sim.hwh", 100.0), ("open.hwh", OPEN_CLOCK_MHZ)):
        design = read[name]
        assert (design["ps"], design["family"]) == ("processing_system7_0", "processing_system7")
        clock = design["clocks"]["0"]
        assert 1000 / (clock["divisor0"] * clock["divisor1"]) == mhz
        # pynqmetadata 0.1.2, of PYNQ's images, reads no source.
        assert (clock["enable"], clock.get("src_sel", "IO PLL")) == (1, "IO PLL")
        assert [design["clocks"][index]["enable"] for index in "123"] == [0, 0, 0]
        wires = set(design["wires"])
        assert {
            "processing_system7_0.FCLK_CLK0 -> fdht_lstm_0.ap_clk",
            "processing_system7_0.FCLK_RESET0_N -> fdht_lstm_0.ap_rst_n",
            "fdht_lstm_0.interrupt -> processing_system7_0.IRQ_F2P",
        } <= wires
        # No AXI interrupt controller: pynq hands out no interrupt, and says so rather than fail.
        assert design["interrupt_pins"] == design["interrupt_controllers"] == {}
        assert design["ip"][CORE]["interrupts"] == []
        assert design["gpio"] == {} and design["memories"] == [] and design["hierarchies"] == []


@pytest.mark.parametrize("name", sorted(REAL))
def test_all_that_pynq_reads_in_a_real_file_is_in_ours(name: str, read: Mapping[str, Any]):
    """Key by key; what Vivado adds and pynq has no use for is named here."""
    if name not in read:
        pytest.skip(f"this pynqmetadata ships no {name}")
    theirs, ours = read[name], read["open.hwh"]
    core, real = ours["ip"][CORE], theirs["ip"][REAL[name]]
    assert set(core) == set(real)
    assert {key: type(value) for key, value in core.items()} == {
        key: type(value) for key, value in real.items()
    }
    assert core["addr_range"] == real["addr_range"]
    assert core["memtype"] == real["memtype"]
    for register, contents in real["registers"].items():
        mine = core["registers"].get(register)
        if mine is None:
            continue  # an argument of that core
        assert set(mine) == set(contents)
        for field, description in contents["fields"].items():
            if field.startswith("RESERVED") or field == "INTERRUPT":
                continue
            keys = ("bit_offset", "bit_width")
            assert [mine["fields"][field][key] for key in keys] == [
                description[key] for key in keys
            ]
    control = real["mem_id"].upper()
    widths = {f"C_{control}_ADDR_WIDTH", f"C_{control}_DATA_WIDTH"}
    assert widths <= set(real["parameters"])
    assert {key.replace(control, "S_AXI_CONTROL") for key in widths} <= set(core["parameters"])
    system, real_system = ours["ip"][ours["ps"]], theirs["ip"][theirs["ps"]]
    assert set(system) == set(real_system)
    assert system["type"] == real_system["type"]
    for index in "0123":
        assert set(ours["clocks"][index]) == set(theirs["clocks"][index])
        assert ours["clocks"][index].get("src_sel") == theirs["clocks"][index].get("src_sel")
    # Parameters of the processing system that both name hold values of one kind.
    for key in ("C_M_AXI_GP0_ID_WIDTH", "C_S_AXI_HP0_ID_WIDTH", "C_S_AXI_HP0_DATA_WIDTH"):
        if name != "resizer.hwh":
            assert system["parameters"][key] == real_system["parameters"][key]
    assert set(system["parameters"]) - {"PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ"} <= set(
        real_system["parameters"]
    )


def test_the_header_of_a_bit_file_is_read(read: Mapping[str, Any], bitfile: BitFile):
    found = read["open.bit"]
    assert found["part"] == bitfile.part
    assert found["design"] == "fdht_wrapper"
    assert int(found["length"]) == len(bitfile.data)
    words = struct.unpack(f">{len(bitfile.data) // 4}I", bitfile.data)
    assert bytes.fromhex(found["binary"]) == struct.pack(f"<{len(words)}I", *words)


@pytest.mark.parametrize("board", ["sim", "pynq-z2"])
@pytest.mark.parametrize(
    ("part", "fits"),
    [
        ("7z020clg400", True),  # as Vivado writes it
        ("xc7z020clg400-1", True),  # as xc7frames2bit is told to
        ("7z020clg484", False),
        ("7z010clg400", False),
        ("xczu3eg-sbva484-1-i", False),
    ],
)
def test_a_header_fits_its_board_and_no_other(board: str, part: str, fits: bool):
    assert get_board(board).part.matches(part) is fits
