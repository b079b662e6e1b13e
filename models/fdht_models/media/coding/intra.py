"""Codings whose pictures depend on no other."""

from __future__ import annotations

from fdht_models.media.coding.coded_picture import CodedPicture, Inspector, Unproven

_QUANTISERS, _CODES = b"\xff\xdb", b"\xff\xc4"
_HALF = 0x7F80


class Intra(Inspector):
    """Each picture on its own."""

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        return CodedPicture(entry=True, disposable=True)


class MotionJpeg(Intra):
    """Pictures may use the tables of an earlier one."""

    def __init__(self) -> None:
        self._codes: bool | None = None

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        content = bytes(data)
        codes = _CODES in content
        self._codes = codes if self._codes is None else self._codes
        if _QUANTISERS not in content or codes != self._codes:
            raise Unproven("tables of an earlier picture are used")
        return super().add(data, key)


class Ffv1(Intra):
    """A picture may go on with the statistics of the one before.

    Source: RFC 9043, 3.8.1.1 and 4.4: the first bit, range coded at even odds, tells.
    """

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says; see `Inspector`."""
        alone = int.from_bytes(data[:2], "big") >= _HALF
        return CodedPicture(entry=alone and key)
