"""Bitstream files, against pynq's own parser."""

from __future__ import annotations

import pytest

from fdht_models.errors import ArtifactError, DeviceError
from fdht_overlays.bitfile import (
    SYNC_WORD,
    BitFile,
    read_bitfile,
    simulated_bitfile,
)

from fdht_host._pynq import pynq  # isort: skip

DESIGN_ID = 0xFEDC_BA98_7654_3210


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "design.bit"
    file.write_bytes(simulated_bitfile(DESIGN_ID, "7z020clg400").to_bytes())
    return file


def test_pynq_reads_the_header(path):
    from pynq.pl_server.embedded_device import parse_bit_header

    assert pynq.__version__
    header = parse_bit_header(path.read_bytes())
    assert header["design"] == "SIMULATED_NO_BITSTREAM_fedcba9876543210"
    assert header["part"] == "7z020clg400"
    assert header["version"] == "Version=fdht"
    assert int(header["length"]) == len(header["data"]) and len(header["data"]) % 4 == 0


def test_what_is_written_is_read_back(path):
    assert read_bitfile(path) == simulated_bitfile(DESIGN_ID, "7z020clg400")
    assert read_bitfile(path).simulated_design_id == DESIGN_ID


def test_a_real_bitstream_is_no_simulated_one(tmp_path):
    data = b"\xff" * 32 + bytes.fromhex("000000bb11220044ffffffffffffffff") + SYNC_WORD + b"\0" * 64
    real = BitFile("base_wrapper", "7z020clg400", data, ("UserID=0XFFFFFFFF", "Version=2022.1"))
    (tmp_path / "real.bit").write_bytes(real.to_bytes())
    read = read_bitfile(tmp_path / "real.bit")
    assert not read.simulated and read == real
    with pytest.raises(DeviceError, match=r"'base_wrapper': is not a simulated.*a real bitstream"):
        _ = read.simulated_design_id


def test_a_simulated_file_cannot_pass_for_a_real_one(path):
    assert SYNC_WORD not in path.read_bytes()


@pytest.mark.parametrize("kept", [0, 5, 13, 40, 90, -1])
def test_a_file_cut_short_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"is not a whole \.bit file"):
        read_bitfile(path)


def test_other_contents_are_refused(path):
    path.write_bytes(b"PK\x03\x04" * 100)
    with pytest.raises(ArtifactError, match="its first bytes differ"):
        read_bitfile(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_bitfile(tmp_path / "none.bit")
