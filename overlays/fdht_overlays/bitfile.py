"""Bitstream files (`.bit`): their header, and the stand-in that a simulated board loads.

A `.bit` file is a header of tagged strings (design, part, date, time) before the configuration
data. A simulated board has nothing to configure: its file carries a marker and the design id in
place of configuration data, and its design name says so, so that neither can be taken for the
other.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import ArtifactError, DeviceError
from fdht_models.files import read_file

#: Begins the data of a simulated board's file. Real configuration data holds SYNC_WORD instead.
SIMULATED_MARKER = b"FDHT-SIMULATED!!"
#: Prefix of the design name of a simulated board's file.
SIMULATED_DESIGN = "SIMULATED_NO_BITSTREAM"
#: Begins the configuration packets of every Xilinx bitstream (UG470).
SYNC_WORD = b"\xaa\x99\x55\x66"
# The first field of every .bit file: a length and nine bytes that never change, then 0x0001.
_PREAMBLE = bytes.fromhex("00090ff00ff00ff00ff0000001")
# Both dates are fixed: equal inputs give equal files, hence equal digests.
_DATE, _TIME = "1970/01/01", "00:00:00"


@dataclass(frozen=True)
class BitFile:
    """A `.bit` file.

    Args:
        design: design name, without the tool's attributes.
        attributes: what follows the name, as `Version=2024.1`.
        part: as the tool that made it writes it.
        date: `YYYY/MM/DD`.
        time: `HH:MM:SS`.
        data: configuration data, or a simulated board's stand-in.
    """

    design: str
    part: str
    data: bytes
    attributes: tuple[str, ...] = ("UserID=0XFFFFFFFF", "Version=fdht")
    date: str = _DATE
    time: str = _TIME

    @property
    def simulated(self) -> bool:
        """True if it is a simulated board's stand-in."""
        return self.data.startswith(SIMULATED_MARKER)

    @property
    def simulated_design_id(self) -> int:
        """The design id of a simulated board's stand-in.

        Raises:
            DeviceError: this is not one.
        """
        if not self.simulated:
            raise DeviceError(
                "is not a simulated board's file"
                + (", it holds a real bitstream" if SYNC_WORD in self.data else ""),
                field="bitstream",
                value=self.design,
                remedy="load it on the board it was made for, or build for --board sim",
            )
        return int.from_bytes(self.data[len(SIMULATED_MARKER) :][:8], "little")

    def to_bytes(self) -> bytes:
        """The file's contents."""
        design = ";".join((self.design, *self.attributes))
        fields = zip(b"abcd", (design, self.part, self.date, self.time), strict=True)
        header = b"".join(
            struct.pack(">BH", tag, len(text) + 1) + text.encode("ascii") + b"\0"
            for tag, text in fields
        )
        return _PREAMBLE + header + struct.pack(">BI", ord("e"), len(self.data)) + self.data


def simulated_bitfile(design_id: int, part: str) -> BitFile:
    """The file that a simulated board loads.

    Args:
        design_id: 64 bits, as the core's identity registers show it.
        part: the device that the board pretends to have, as `7z020clg400`.
    """
    data = SIMULATED_MARKER + design_id.to_bytes(8, "little")
    return BitFile(f"{SIMULATED_DESIGN}_{design_id:016x}", part, data)


def read_bitfile(path: Path) -> BitFile:
    """Reads a `.bit` file.

    Raises:
        ArtifactError: it is missing, cut short or no `.bit` file.
    """
    contents = read_file(path, error=ArtifactError, remedy="run fdht build again")
    try:
        return _parse(contents)
    except (ValueError, struct.error, IndexError, KeyError) as error:
        raise ArtifactError(
            f"is not a whole .bit file ({error})", field=str(path), remedy="run fdht build again"
        ) from error


def _parse(contents: bytes) -> BitFile:
    if not contents.startswith(_PREAMBLE):
        raise ValueError("its first bytes differ")
    texts: dict[str, str] = {}
    offset = len(_PREAMBLE)
    while chr(contents[offset]) != "e":
        tag, length = struct.unpack_from(">BH", contents, offset)
        text = contents[offset + 3 : offset + 3 + length]
        texts[chr(tag)] = text.rstrip(b"\0").decode("ascii")
        offset += 3 + length
    (length,) = struct.unpack_from(">I", contents, offset + 1)
    data = contents[offset + 5 :]
    if len(data) != length:
        raise ValueError(f"{length} bytes of data are announced and {len(data)} are there")
    design, *attributes = texts["a"].split(";")
    return BitFile(design, texts["b"], data, tuple(attributes), texts["c"], texts["d"])
