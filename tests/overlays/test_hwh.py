"""The hand-off file as the real pynq reads it, beside one that Vivado wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.lib import wiring

from fdht_hls.boards import get_board
from fdht_hls.registers import BY_NAME, REGISTERS, VLNV, WINDOW
from fdht_models.errors import ConfigError
from fdht_overlays import design
from fdht_overlays.design import CORE, CORE_ADDRESS
from fdht_overlays.hwh import fabric_clock, hwh_text

# The one place that imports pynq knows how to keep it quiet.
from fdht_host._pynq import Metadata, RuntimeMetadataParser  # isort: skip


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    path = tmp_path_factory.mktemp("hwh") / "a-b.hwh"
    path.write_text(hwh_text(get_board("sim"), fabric_clock(100.0)))
    return RuntimeMetadataParser(Metadata(input=path))


def test_pynq_finds_the_core(parsed):
    core = parsed.ip_dict[CORE]
    assert core["type"] == VLNV
    assert core["phys_addr"] == CORE_ADDRESS == 0x43C0_0000
    assert core["addr_range"] == WINDOW
    assert set(parsed.ip_dict) == {CORE, "processing_system7_0"}


def test_ports_have_the_names_that_the_core_gives_them(parsed):
    from fdht_hls.rtl import core as rtl
    from fdht_hls.rtl.bus import Full, flat_ports
    from fdht_hls.rtl.control import ADDRESS_BITS

    assert rtl.CONTROL == design.CONTROL
    assert design.masters(loadable=False) == (rtl.FRAMES, rtl.RESULTS)
    assert design.masters(loadable=True) == (rtl.FRAMES, rtl.RESULTS, rtl.WEIGHTS)
    assert ADDRESS_BITS == design.CONTROL_ADDRESS_BITS
    ports = flat_ports(rtl.FRAMES, Full(), wiring.Out)
    assert ports[f"{rtl.FRAMES}_ARADDR"].shape == design.MASTER_ADDRESS_BITS
    assert ports[f"{rtl.FRAMES}_RDATA"].shape == design.MASTER_DATA_BITS
    assert parsed.ip_dict[CORE]["mem_id"] == rtl.CONTROL


def test_pynq_finds_every_register_with_its_fields(parsed):
    found = parsed.ip_dict[CORE]["registers"]
    words = {}
    for register in REGISTERS:
        names = (
            [register.name] if register.width == 32 else [f"{register.name}_{i}" for i in (1, 2)]
        )
        for word, name in enumerate(names):
            words[name] = (register.offset + 4 * word, register.access)
    assert {
        name: (register["address_offset"], register["access"]) for name, register in found.items()
    } == words
    control = found["CTRL"]["fields"]
    assert {name: (f["bit_offset"], f["bit_width"]) for name, f in control.items()} == {
        field.name: (field.low, field.width) for field in BY_NAME["CTRL"].fields
    }


def test_control_registers_are_those_of_a_core_that_vitis_made(parsed):
    """pynqmetadata ships a hand-off file that Vivado 2019.2 wrote for another HLS core."""
    import pynqmetadata

    path = Path(pynqmetadata.__file__).parent / "tests" / "hwhs" / "resizer.hwh"
    if not path.is_file():
        pytest.skip("this pynqmetadata ships no hand-off files")
    theirs = RuntimeMetadataParser(Metadata(input=path)).ip_dict["resize_accel_0"]["registers"]
    ours = parsed.ip_dict[CORE]["registers"]
    for name in ("CTRL", "GIER", "IP_IER", "IP_ISR"):
        assert ours[name]["address_offset"] == theirs[name]["address_offset"]
        for field, description in ours[name]["fields"].items():
            # Vivado 2019.2 calls the interrupt status read-only; it toggles on write.
            keys = ("bit_offset", "bit_width") + (("access",) if name != "IP_ISR" else ())
            for key in keys:
                assert description[key] == theirs[name]["fields"][field][key], (name, field, key)


def test_pynq_finds_the_clock(parsed):
    clock = parsed.clock_dict[0]
    assert clock["enable"] == 1
    assert 1000.0 / (clock["divisor0"] * clock["divisor1"]) == 100.0
    assert [parsed.clock_dict[index]["enable"] for index in (1, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("asked", "given"),
    [(100.0, 100.0), (50.0, 50.0), (150.0, 1000 / 7), (142.857143, 1000 / 7), (1.0, 1.0)],
)
def test_the_clock_is_never_faster_than_asked(asked, given):
    clock = fabric_clock(asked)
    assert clock.mhz == pytest.approx(given)
    assert clock.mhz <= asked * (1 + 1e-6)
    assert 1 <= clock.divisor0 <= 63 and 1 <= clock.divisor1 <= 63
    assert clock.mhz == 1000.0 / (clock.divisor0 * clock.divisor1)


@pytest.mark.parametrize("mhz", [0.0, 0.2, 300.0])
def test_a_clock_out_of_reach_is_refused(mhz):
    with pytest.raises(ConfigError, match=r"clock_mhz = .*must lie between 0\.25 and 250 MHz"):
        fabric_clock(mhz)


def test_a_board_of_another_family_is_refused():
    with pytest.raises(ConfigError, match="board = 'kv260': has no processing_system7"):
        hwh_text(get_board("kv260"), fabric_clock(100.0))
