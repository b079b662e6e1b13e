"""H.264: decoding starts at IDR pictures; pictures that are no reference may be left out.

Source: ITU-T H.264 (08/2021), 7.3.2.1 (SPS), 7.3.2.2 (PPS), 7.3.3 (slice header), 8.2.1 (order of
pictures), E.1.1 (VUI). An IDR picture empties the decoder's memory, so that nothing behind it
depends on anything before it; a picture with `nal_ref_idc` 0 is no reference of any other, and
neither order nor numbers of pictures are derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from fdht_models.media.coding.bits import Bits, NalInspector, header, listed, trimmed
from fdht_models.media.coding.coded_picture import CodedPicture, Unproven

_SLICE, _IDR, _SPS, _PPS = 1, 5, 7, 8
#: Messages, delimiters and filling, besides the above. Partitions, layers and views are not read.
_HARMLESS = {6, 9, 12}
#: Profiles whose SPS says how colours are coded.
_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_HRD_HEADER, _HRD_TAIL = 8, 20


@dataclass(frozen=True)
class _Sequence:
    """Of the SPS: what slice headers and the order of pictures need."""

    number_bits: int
    order_kind: int
    order_bits: int
    reorder: int | None


@dataclass(frozen=True)
class _Parameters:
    """Of a PPS."""

    field_order: bool
    redundant: bool


class H264(NalInspector):
    """See the module, and `NalInspector`."""

    slices, parameters, harmless = (_SLICE, _IDR), (_SPS, _PPS), _HARMLESS
    _sequence: _Sequence | None = None

    def __init__(self, extradata: bytes) -> None:
        self._pictures: dict[int, _Parameters] = {}
        self._idr, self._reference_number = -1, 0
        super().__init__(extradata)

    def reorder(self) -> int | None:
        """What the SPS states; where it states nothing, FFmpeg guesses while it decodes: 0."""
        if self._sequence is None or self._sequence.reorder is None:
            return 0
        return self._sequence.reorder

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        slices, repeated = self._slices(data)
        # 7.4.1.2.4: slices of one picture are all references or none, all IDR or none.
        if len({(bool(unit[0] & 0x60), unit[0] & 31) for unit in slices}) > 1:
            raise Unproven("there are two pictures")
        if sum(unit[1] >> 7 for unit in slices) != 1:  # one slice begins with macroblock 0
            raise Unproven("there is not exactly one picture")
        first = next(unit for unit in slices if unit[1] >> 7)
        return self._picture(first, repeated=repeated)

    def _picture(self, unit: memoryview, *, repeated: bool) -> CodedPicture:
        assert self._sequence is not None
        sequence, idr, reference = self._sequence, unit[0] & 31 == _IDR, bool(unit[0] & 0x60)
        bits = header(unit, 1)
        bits.skip_golomb(2)  # first macroblock, kind of slice
        parameters = self._pictures.get(bits.golomb())
        if parameters is None:
            raise Unproven("the picture's parameters are not there")
        number = bits.number(sequence.number_bits)
        if idr:
            self._idr += 1
            self._high = self._low = 0
            bits.golomb()
        elif self._idr < 0:
            raise Unproven("it does not begin with an IDR picture")
        elif number != (self._reference_number + 1) % (1 << sequence.number_bits):
            raise Unproven("numbers of pictures are missing")
        order = self._order(bits, reference=reference)
        if idr:
            _check_idr(bits, parameters, sequence)
        if reference:
            self._reference_number = number
        return CodedPicture(idr and repeated, not reference, order=(self._idr, order))

    def _order(self, bits: Bits, *, reference: bool) -> int:
        """8.2.1.1; of kind 2, the order of decoding: 0, and equal ones keep the file's order."""
        assert self._sequence is not None
        if self._sequence.order_kind == 2:
            return 0
        return self._place(bits, self._sequence.order_bits, reference=reference)

    def _kind(self, unit: memoryview) -> int:
        return unit[0] & 31

    def _outside(self, extradata: memoryview) -> tuple[int, list[memoryview]]:
        """Of `avcC` (ISO/IEC 14496-15, 5.3.3.1)."""
        sequences, place = listed(extradata, 6, extradata[5] & 31)
        pictures, _ = listed(extradata, place + 1, extradata[place])
        return (extradata[4] & 3) + 1, sequences + pictures

    def _keep(self, unit: memoryview) -> None:
        kind, content = unit[0] & 31, trimmed(unit)
        if kind == _SPS:
            self._once(kind, 0, content)
            self._sequence = self._sequence or _read_sequence(header(content, 1, len(content)))
        elif kind == _PPS:
            bits = header(content, 1, len(content))
            number = bits.golomb()
            self._once(kind, number, content)
            self._pictures[number] = _read_parameters(bits)


def _read_sequence(bits: Bits) -> _Sequence:
    profile = bits.number(8)
    bits.number(16)  # constraints and level
    bits.golomb()
    if profile in _HIGH:
        # Others than 4:2:0 depend, in FFmpeg, on which encoder the first picture names.
        if bits.golomb() != 1:
            raise Unproven("it is not 4:2:0")
        bits.skip_golomb(2)  # depths
        bits.flag()
        if bits.flag():
            raise Unproven("it has matrices of its own")
    number_bits = bits.golomb() + 4
    order_kind, order_bits = bits.golomb(), 0
    if order_kind == 0:
        order_bits = bits.golomb() + 4
    elif order_kind != 2:
        raise Unproven("the order of pictures is coded in a rare way")
    bits.golomb()  # references
    if bits.flag():
        raise Unproven("numbers may be missing")
    bits.skip_golomb(2)  # size
    if not bits.flag():
        raise Unproven("it may be interlaced")
    bits.flag()
    if bits.flag():
        bits.skip_golomb(4)  # what is cut off
    return _Sequence(number_bits, order_kind, order_bits, _read_reorder(bits))


def _read_reorder(bits: Bits) -> int | None:
    """`max_num_reorder_frames` of the VUI; None if it is not stated."""
    if not bits.flag():
        return None
    if bits.flag() and bits.number(8) == 255:  # shape of a pixel
        bits.number(32)
    if bits.flag():  # overscan
        bits.flag()
    if bits.flag():  # colours
        bits.number(4)
        if bits.flag():
            bits.number(24)
    if bits.flag():  # where chroma lies
        bits.skip_golomb(2)
    if bits.flag():  # rate
        bits.number(65)
    buffers = [_skip_buffer(bits) for _ in range(2)]
    if any(buffers):
        bits.flag()
    bits.flag()
    if not bits.flag():
        return None
    bits.flag()
    bits.skip_golomb(4)
    return bits.golomb()


def _skip_buffer(bits: Bits) -> bool:
    """hrd_parameters, E.1.2."""
    if not bits.flag():
        return False
    count = bits.golomb() + 1
    bits.number(_HRD_HEADER)
    for _ in range(count):
        bits.skip_golomb(2)
        bits.flag()
    bits.number(_HRD_TAIL)
    return True


def _read_parameters(bits: Bits) -> _Parameters:
    bits.golomb()
    bits.flag()
    field_order = bits.flag()
    if bits.golomb():
        raise Unproven("it has groups of slices")
    bits.skip_golomb(2)
    bits.number(3)
    bits.skip_golomb(3)
    bits.number(2)
    return _Parameters(field_order, bits.flag())


def _check_idr(bits: Bits, parameters: _Parameters, sequence: _Sequence) -> None:
    """An IDR picture may say that earlier ones that are not shown yet shall not be."""
    if sequence.order_kind == 0 and parameters.field_order:
        bits.golomb()
    if parameters.redundant:
        bits.golomb()
    if bits.flag():
        raise Unproven("an IDR picture drops earlier ones")
