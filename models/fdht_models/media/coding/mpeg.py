"""MPEG-1, MPEG-2 and MPEG-4 part 2: B pictures may be left out; decoding starts at I pictures.

Sources: ISO/IEC 11172-2, 13818-2 (6.2), 14496-2 (6.2.5). A picture predicts from the last two I or
P pictures only. So behind an I picture, all that is shown after it is as if the file began there.
"""

from __future__ import annotations

import re

from fdht_models.media.coding.coded_picture import CodedPicture, Inspector, Unproven

_START = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_PICTURE, _SEQUENCE, _EXTENSION, _GROUP, _VOP = 0x00, 0xB3, 0xB5, 0xB8, 0xB6
_SLICES = range(0x01, 0xB0)
_MATRICES, _CODING = 3, 8
_FRAME = 3
_I, _P, _B = 1, 2, 3
#: A VOP of fewer bytes may be one that says "as before".
_LEAST_VOP = 16


class _Delayed(Inspector):
    """The order of pictures: an I or P picture is shown when the next one comes."""

    def __init__(self) -> None:
        self._shown, self._waiting = 0, 0

    def place(self, kind: int) -> tuple[int, int]:
        """The order of the next picture in the file: B pictures before the I or P before them."""
        if kind == _B:
            self._shown += 1
            return self._waiting, self._shown
        self._waiting += 1
        self._shown = 0
        # Behind the B pictures that follow it: those are shown before it.
        return self._waiting, 1 << 30


class Mpeg12(_Delayed):
    """MPEG-1 and MPEG-2 video."""

    def __init__(self) -> None:
        super().__init__()
        self._sequence = b""

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        kind, sequence, place = 0, b"", 0
        for match in _START.finditer(data):
            code, place = match.group(1)[0], match.end()
            if code == _PICTURE:
                if kind:
                    raise Unproven("there are two pictures")
                kind = data[place + 1] >> 3 & 7
            elif code == _SEQUENCE:
                sequence = _until(data, match.start())
            elif code == _EXTENSION:
                _check_extension(data[place:])
            elif code in _SLICES and not kind:
                raise Unproven("slices come before their picture")
        if kind not in (_I, _P, _B):
            raise Unproven("there is no picture")
        self._sequence = self._sequence or sequence
        if sequence and sequence != self._sequence:
            raise Unproven("the sequence changes")
        return CodedPicture(kind == _I and bool(sequence), kind == _B, order=self.place(kind))


class Mpeg4(_Delayed):
    """MPEG-4 part 2."""

    def __init__(self) -> None:
        super().__init__()
        self._before: bytes | None = None

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        starts = {match.start(): match.group(1)[0] for match in _START.finditer(data)}
        pictures = [start for start, code in starts.items() if code == _VOP]
        if len(pictures) != 1 or len(data) - pictures[0] < _LEAST_VOP:
            raise Unproven("there is not exactly one picture, or one that holds nothing")
        first = pictures[0]
        coding = (data[first + 4] >> 6) + 1  # I, P, B and S, which is a P picture that is warped
        # Headers without the time of a group; who encoded it, which FFmpeg minds, is in them.
        groups = [start for start, code in starts.items() if code == _EXTENSION_GROUP]
        before = bytes(data[: min([first, *groups])])
        if self._before is None:
            self._before = before
        if before and before != self._before:
            raise Unproven("headers change")
        return CodedPicture(
            coding == _I and before == self._before, coding == _B, order=self.place(coding)
        )


#: Group of VOPs.
_EXTENSION_GROUP = 0xB3


def _until(data: memoryview, start: int) -> bytes:
    """A sequence's header with what belongs to it, up to the group or the picture."""
    for match in _START.finditer(data, start + 4):
        if match.group(1)[0] in (_GROUP, _PICTURE):
            return bytes(data[start : match.start()])
    return bytes(data[start:])


def _check_extension(data: memoryview) -> None:
    if len(data) < 4:
        raise Unproven("a header ends early")
    kind = data[0] >> 4
    if kind == _MATRICES:
        raise Unproven("matrices change")
    if kind == _CODING and data[2] & 3 != _FRAME:
        raise Unproven("it consists of fields")
