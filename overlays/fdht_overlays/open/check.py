"""Is a bitstream of the open flow for the right device, and is in it what should be?

The configuration packets are read as UG470 ("Configuration Packets") has them; frames as Project
X-Ray does. Nothing here says that the design works: only that the file is whole, for this device,
and holds about as much logic as was placed.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fdht_hls.boards import Part
from fdht_models.errors import ArtifactError
from fdht_overlays.bitfile import SYNC_WORD, BitFile, read_bitfile

#: IDCODE without its revision (UG470, table "ID Codes"), by device.
IDCODES = {"xc7z020": 0x3727093}
_REVISION_MASK = 0x0FFF_FFFF
#: Words of a configuration frame.
FRAME_WORDS = 101
#: Registers of the configuration logic.
_FDRI, _IDCODE = 0x02, 0x0C
_WRITE = 2
#: What a feature of a tile says is used, by the form of its name.
_KINDS = {
    "lut": r"SLICE[LM]_X\d\.[A-D]LUT\.INIT",
    # As yosys counts them: memory and shift registers.
    "lutram": r"SLICEM_X\d\.[A-D]LUT\.(RAM|SRL)$",
    # What is one after configuration has no ZINI; what it takes in is always said.
    "ff": r"SLICE[LM]_X\d\.[A-D]5?FF(?=MUX\.|\.)",
    "carry": r"SLICE[LM]_X\d\.CARRY4(?=\.)",
    "slice": r"SLICE[LM]_X\d(?=\.)",
    "ramb18": r"RAMB18_Y\d\.IN_USE",
    "dsp": r"^DSP_[LR]_X\d+Y\d+\.DSP48\.DSP_[01](?=\.)",
}


@dataclass(frozen=True)
class BitstreamFacts:
    """What a bitstream file says of itself.

    Args:
        design: of its header.
        part: of its header.
        idcode: that its packets ask the device for.
        frames: of configuration data.
    """

    design: str
    part: str
    idcode: int
    frames: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {**asdict(self), "idcode": f"{self.idcode:#010x}"}


def check_bitstream(path: Path, part: Part) -> BitstreamFacts:
    """Reads a bitstream and refuses one that is not for a part.

    Raises:
        ArtifactError: it is damaged, or for another device.
    """
    bitfile = read_bitfile(path)
    facts = read_facts(bitfile, str(path))
    if not part.matches(facts.part):
        raise ArtifactError(
            f"the header names the part {facts.part}, not {part.name}", field=str(path)
        )
    wanted = IDCODES.get(part.device)
    if wanted is None or facts.idcode & _REVISION_MASK != wanted:
        raise ArtifactError(
            f"is for the device id {facts.idcode:#010x}, not that of {part.device}",
            field=str(path),
        )
    if facts.frames == 0:
        raise ArtifactError("holds no configuration frame", field=str(path))
    return facts


def read_facts(bitfile: BitFile, source: str) -> BitstreamFacts:
    """Goes through the configuration packets.

    Raises:
        ArtifactError: there is no sync word or device id, or a packet is cut short.
    """
    start = bitfile.data.find(SYNC_WORD)
    if start < 0:
        raise ArtifactError("holds no sync word (UG470)", field=source)
    body = bitfile.data[start + len(SYNC_WORD) :]
    words = struct.unpack(f">{len(body) // 4}I", body[: len(body) // 4 * 4])
    idcode, frame_words, position, register = None, 0, 0, 0
    while position < len(words):
        header = words[position]
        kind, operation = header >> 29, (header >> 27) & 3
        if kind == 1:
            register, count = (header >> 13) & 0x1F, header & 0x7FF
        elif kind == 2:
            count = header & 0x7FF_FFFF
        else:
            count = 0
        if position + count >= len(words) + (count == 0):
            raise ArtifactError("ends within a configuration packet", field=source)
        if operation == _WRITE and kind in (1, 2):
            if register == _IDCODE and count:
                idcode = words[position + 1]
            elif register == _FDRI:
                frame_words += count
        position += 1 + count
    if idcode is None:
        raise ArtifactError("asks for no device id", field=source)
    return BitstreamFacts(bitfile.design, bitfile.part, idcode, frame_words // FRAME_WORDS)


def count_features(fasm: str) -> dict[str, int]:
    """What a FASM file switches on: all features, and those of each kind of resource."""
    counts: Counter[str] = Counter()
    cells: dict[str, set[str]] = {name: set() for name in _KINDS}
    for line in fasm.splitlines():
        feature = line.split("#")[0].split("=")[0].split("{")[0].strip()
        if not feature:
            continue
        counts["features"] += 1
        name = re.sub(r"\[\d+(:\d+)?\]$", "", feature)
        for kind, form in _KINDS.items():
            found = re.search(form, name)
            if found:
                cells[kind].add(name[: found.end()])
    return {"features": counts["features"], **{name: len(seen) for name, seen in cells.items()}}
