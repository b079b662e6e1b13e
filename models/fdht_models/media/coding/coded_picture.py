"""What is known of one coded picture."""

from __future__ import annotations

from dataclasses import dataclass

Order = tuple[int, ...]


class Unproven(Exception):  # noqa: N818 - no error: the stream is read in another way
    """A stream of which not enough is known to decode a part of it."""


@dataclass(frozen=True)
class CodedPicture:
    """What a packet says of the one picture that is decoded from it.

    Attributes:
        entry: decoding may start here: this picture, and those behind it in the file that are
            shown after it, depend on none before it.
        disposable: no other picture depends on it.
        shown: False if it is decoded for others only.
        order: when it is shown, compared with others: ascending; () if the file's order is that.
    """

    entry: bool
    disposable: bool = False
    shown: bool = True
    order: Order = ()


class Inspector:
    """Looks at the packets of one stream, in order."""

    def add(self, data: memoryview, key: bool) -> CodedPicture:
        """What one packet says.

        Args:
            data: of the packet.
            key: the container's flag.

        Raises:
            Unproven: anything that is not known to be harmless.
        """
        raise NotImplementedError

    def reorder(self) -> int | None:
        """How many pictures may wait for one that is shown before them; None for any number."""
        return None
