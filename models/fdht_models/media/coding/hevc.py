"""H.265: decoding starts at IDR and CRA pictures; pictures that are no reference may be left out.

Source: ITU-T H.265 (08/2021), 7.3.2.2 (SPS), 7.3.2.3 (PPS), 7.3.3 (profile and level), 7.3.6.1
(slice header), 7.4.2.2 (kinds of units), 8.3.1 (order of pictures). Pictures behind an IDR or CRA
picture in the file that are shown after it depend on none before it; those that are shown before a
CRA picture may, and are not decoded where decoding starts there.
"""

from __future__ import annotations

from dataclasses import dataclass

from fdht_models.media.coding.bits import Bits, header, trimmed, units
from fdht_models.media.coding.coded_picture import CodedPicture, Unproven

_IDR, _CRA, _LAST_INTRA = (19, 20), 21, 23
_SUBLAYER_LAST, _RASL, _RADL = 15, (8, 9), (6, 7)
_VPS, _SPS, _PPS, _LAST_PICTURE = 32, 33, 34, 31
#: Delimiters, filling and messages, besides the above.
_HARMLESS = {35, 38, 39, 40}
_PROFILE, _LEVEL = 88, 8


@dataclass(frozen=True)
class _Sequence:
    """Of the SPS: what slice headers and the order of pictures need."""

    order_bits: int
    reorder: int
    layers: int


@dataclass(frozen=True)
class _Parameters:
    """Of a PPS."""

    output_flag: bool
    extra_bits: int


class Hevc:
    """See the module.

    Args:
        extradata: of the stream: `hvcC`, or NAL units between start codes, or nothing.
    """

    def __init__(self, extradata: bytes) -> None:
        self._length = 0
        self._sequence: _Sequence | None = None
        self._pictures: dict[int, _Parameters] = {}
        self._sets: dict[tuple[int, int], bytes] = {}
        self._first: bytes | None = None
        self._leading = False
        self._intra, self._high, self._low = -1, 0, 0
        if extradata[:1] == b"\1":
            self._length = (extradata[21] & 3) + 1
            for unit in _listed(extradata):
                self._keep(unit)
        elif extradata:
            for found in units(memoryview(extradata), 0):
                self._keep(found)

    def reorder(self) -> int | None:
        """What the SPS states."""
        return 0 if self._sequence is None else self._sequence.reorder

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        slices, inside = [], []
        for unit in units(data, self._length):
            kind = unit[0] >> 1 & 63
            if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:
                raise Unproven("there are layers")
            if kind <= _LAST_PICTURE:
                slices.append(unit)
            elif kind in (_VPS, _SPS, _PPS):
                inside.append(trimmed(unit))
                self._keep(unit)
            elif kind not in _HARMLESS:
                raise Unproven(f"there is a unit of kind {kind}")
        if not slices or self._sequence is None:
            raise Unproven("there is no picture, or no parameters")
        if len({unit[0] for unit in slices}) > 1 or sum(unit[2] >> 7 for unit in slices) != 1:
            raise Unproven("there is not exactly one picture")
        kept = b"".join(inside)
        self._first = kept if self._first is None else self._first
        first = next(unit for unit in slices if unit[2] >> 7)
        return self._picture(first, repeated=kept == self._first)

    def _picture(self, unit: memoryview, *, repeated: bool) -> CodedPicture:
        assert self._sequence is not None
        kind, layer = unit[0] >> 1 & 63, (unit[1] & 7) - 1
        intra = kind in _IDR or kind == _CRA
        if 16 <= kind <= _LAST_INTRA and not intra:
            raise Unproven("streams were joined")
        if self._intra < 0 and not intra:
            raise Unproven("it does not begin with a picture that stands alone")
        if kind in _RASL and not self._leading:
            raise Unproven("pictures depend on some that are not there")
        bits = header(unit, 2)
        bits.flag()
        if intra and bits.flag():
            raise Unproven("a picture drops earlier ones")
        parameters = self._pictures.get(bits.golomb())
        if parameters is None:
            raise Unproven("the picture's parameters are not there")
        bits.number(parameters.extra_bits)
        bits.golomb()
        if parameters.output_flag and not bits.flag():
            raise Unproven("a picture is not shown")
        order = self._order(bits, kind, layer)
        # RASL pictures of a CRA picture that nothing precedes are not decoded.
        self._leading = self._leading or (intra and (kind in _IDR or self._intra >= 0))
        # 7.4.2.2: an even kind below 16 is no reference within its sub-layer; the highest only then
        # is none at all.
        unused = kind < _SUBLAYER_LAST and kind % 2 == 0 and layer == self._sequence.layers - 1
        return CodedPicture(intra and repeated, unused, order=(self._intra, order))

    def _order(self, bits: Bits, kind: int, layer: int) -> int:
        """8.3.1."""
        assert self._sequence is not None
        if kind in _IDR:
            self._intra += 1
            self._high = self._low = 0
            return 0
        count = self._sequence.order_bits
        low, half = bits.number(count), 1 << (count - 1)
        high = self._high
        if self._intra < 0:
            self._intra, high = 0, 0
        elif low < self._low and self._low - low >= half:
            high += 2 * half
        elif low > self._low and low - self._low > half:
            high -= 2 * half
        leading = kind in _RASL or kind in _RADL
        if layer == 0 and not leading and not (kind < _SUBLAYER_LAST and kind % 2 == 0):
            self._high, self._low = high, low
        return high + low

    def _keep(self, unit: memoryview) -> None:
        """Keeps a set of parameters; a second one of the same number must be the same."""
        kind, content = unit[0] >> 1 & 63, trimmed(unit)
        if kind in (_VPS, _SPS):
            if self._sets.setdefault((kind, 0), content) != content:
                raise Unproven("there are several sequences")
            if kind == _SPS and self._sequence is None:
                self._sequence = _read_sequence(header(content, 2, len(content)))
        elif kind == _PPS:
            bits = header(content, 2, len(content))
            number = bits.golomb()
            if self._sets.setdefault((kind, number), content) != content:
                raise Unproven("parameters change")
            bits.golomb()
            bits.flag()
            self._pictures[number] = _Parameters(bits.flag(), bits.number(3))


def _listed(extradata: bytes) -> list[memoryview]:
    """The sets of parameters in `hvcC` (ISO/IEC 14496-15, 8.3.3.1)."""
    found, place = [], 23
    for _ in range(extradata[22] if len(extradata) > 22 else 0):
        count = int.from_bytes(extradata[place + 1 : place + 3], "big")
        place += 3
        for _ in range(count):
            size = int.from_bytes(extradata[place : place + 2], "big")
            unit = memoryview(extradata)[place + 2 : place + 2 + size]
            if len(unit) < size or size < 3:
                raise Unproven("the parameters end early")
            found.append(unit)
            place += 2 + size
    return found


def _read_sequence(bits: Bits) -> _Sequence:
    bits.number(4)
    layers = bits.number(3) + 1
    bits.flag()
    bits.number(_PROFILE + _LEVEL)
    present = [(bits.flag(), bits.flag()) for _ in range(layers - 1)]
    if layers > 1:
        bits.number(2 * (9 - layers))
    for profile, level in present:
        bits.number(_PROFILE * profile + _LEVEL * level)
    bits.golomb()
    if bits.golomb() == 3:
        bits.flag()
    bits.skip_golomb(2)
    if bits.flag():
        bits.skip_golomb(4)
    bits.skip_golomb(2)
    order_bits = bits.golomb() + 4
    every = bits.flag()
    reorder = 0
    for _ in range(layers if every else 1):
        bits.golomb()
        reorder = bits.golomb()
        bits.golomb()
    return _Sequence(order_bits, reorder, layers)
