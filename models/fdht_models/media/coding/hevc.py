"""H.265: decoding starts at IDR and CRA pictures; pictures that are no reference may be left out.

Source: ITU-T H.265 (08/2021), 7.3.2.2 (SPS), 7.3.2.3 (PPS), 7.3.3 (profile and level), 7.3.6.1
(slice header), 7.4.2.2 (kinds of units), 8.3.1 (order of pictures). Pictures behind an IDR or CRA
picture in the file that are shown after it depend on none before it; those that are shown before a
CRA picture may, and are not decoded where decoding starts there.
"""

from __future__ import annotations

from dataclasses import dataclass

from fdht_models.media.coding.bits import Bits, NalInspector, header, listed, trimmed
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


class Hevc(NalInspector):
    """See the module, and `NalInspector`."""

    slices, parameters, harmless = range(_LAST_PICTURE + 1), (_VPS, _SPS, _PPS), _HARMLESS
    _sequence: _Sequence | None = None

    def __init__(self, extradata: bytes) -> None:
        self._pictures: dict[int, _Parameters] = {}
        self._leading, self._intra = False, -1
        super().__init__(extradata)

    def reorder(self) -> int | None:
        """What the SPS states."""
        return 0 if self._sequence is None else self._sequence.reorder

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        slices, repeated = self._slices(data)
        if len({unit[0] for unit in slices}) > 1 or sum(unit[2] >> 7 for unit in slices) != 1:
            raise Unproven("there is not exactly one picture")
        first = next(unit for unit in slices if unit[2] >> 7)
        return self._picture(first, repeated=repeated)

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
        leading = kind in _RASL or kind in _RADL
        reference = kind >= _SUBLAYER_LAST or kind % 2 == 1
        fresh, self._intra = self._intra < 0, max(self._intra, 0)
        return self._place(
            bits,
            self._sequence.order_bits,
            reference=layer == 0 and not leading and reference,
            fresh=fresh,
        )

    def _kind(self, unit: memoryview) -> int:
        if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:
            raise Unproven("there are layers")
        return unit[0] >> 1 & 63

    def _outside(self, extradata: memoryview) -> tuple[int, list[memoryview]]:
        """Of `hvcC` (ISO/IEC 14496-15, 8.3.3.1)."""
        found, place = [], 23
        for _ in range(extradata[22]):
            count = int.from_bytes(extradata[place + 1 : place + 3], "big")
            more, place = listed(extradata, place + 3, count)
            found += more
        return (extradata[21] & 3) + 1, found

    def _keep(self, unit: memoryview) -> None:
        kind, content = unit[0] >> 1 & 63, trimmed(unit)
        if kind in (_VPS, _SPS):
            self._once(kind, 0, content)
            if kind == _SPS and self._sequence is None:
                self._sequence = _read_sequence(header(content, 2, len(content)))
        elif kind == _PPS:
            bits = header(content, 2, len(content))
            number = bits.golomb()
            self._once(kind, number, content)
            bits.golomb()
            bits.flag()
            self._pictures[number] = _Parameters(bits.flag(), bits.number(3))


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
