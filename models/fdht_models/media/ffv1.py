"""Checksums of FFV1 slices, which FFmpeg's decoder compares and then goes on.

FFmpeg logs a wrong checksum, fills the slice from the frame before and tells its caller nothing:
no error, no mark on the frame, whatever `err_detect` says. The videos that this project writes are
FFV1 with a checksum a slice, so a changed byte would become other pixels in silence.

Source: RFC 9043, 4.9 (slice footer) and 4.9.3 (slice_crc_parity).
"""

from __future__ import annotations

import zlib

_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_FOOTER_WITH_CHECKSUM = 8  # 3 bytes of size, one of status, 4 of checksum


class SliceChecksums:
    """Checks the packets of one stream; those of a stream without checksums all pass."""

    def __init__(self) -> None:
        self._present: bool | None = None

    def is_right(self, packet: bytes) -> bool:
        """True if the slices fill the packet and each has its checksum, or the stream has none."""
        slices = _slices(packet)
        if self._present is None:  # told by the first packet: its slices fill it only if it is so
            self._present = slices is not None
        if not self._present:
            return True
        return slices is not None and all(_remainder(part) == 0 for part in slices)


def _slices(packet: bytes) -> list[bytes] | None:
    """The slices with their footers, from the last to the first; None if they do not fill it."""
    parts, end = [], len(packet)
    while end > 0:
        footer = end - _FOOTER_WITH_CHECKSUM
        if footer < 0:
            return None
        start = footer - int.from_bytes(packet[footer : footer + 3], "big")
        if start < 0:
            return None
        parts.append(packet[start:end])
        end = start
    return parts or None


def _remainder(data: bytes) -> int:
    """CRC-32 with the most significant bit first and without inversions: 0 over data and checksum.

    zlib's takes the least significant bit first and inverts before and after.
    """
    return zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
