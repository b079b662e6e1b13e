"""A path becomes an open container: as a file, never as an address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fdht_models.files import open_regular_file
from fdht_models.media.library import Failure, attempt, av
from fdht_models.media.messages import other_file, undecodable, unreadable, without_stream

#: Streams that go with a film and are none: a cover, and pictures for a bar of positions.
_ATTACHED_PICTURE, _TIMED_THUMBNAILS, _DEFAULT = 1 << 10, 1 << 11, 1 << 0


def open_media(path: Path, kind: str) -> Any:
    """Opens a video or sound file and returns PyAV's container, to be closed by the caller.

    FFmpeg gets an open file and may use no other protocol. So a colon in a name means nothing, a
    name cannot open the network, and a playlist or a file of references cannot open what it names.

    Args:
        path: the file.
        kind: "video" or "sound", for the message.

    Raises:
        DataError: PyAV is missing, or the file is missing, no regular file, or unreadable.
    """
    library = av()
    with open_regular_file(path, remedy=other_file(path, kind)) as stream:
        # FFmpeg makes a duplicate.
        options = {"fd": str(stream.fileno()), "protocol_whitelist": "fd"}
        container = attempt(
            lambda: library.open(
                "fd:", mode="r", container_options=options, metadata_errors="replace"
            )
        )
    if isinstance(container, Failure):
        raise unreadable(path, container.why, kind) from container.error
    return container


def best_stream(path: Path, container: Any, kind: str) -> Any:
    """The stream that a player would choose, which has a decoder.

    FFmpeg's choice (the default stream, then the one with most of what counts), pictures that only
    go with a film left out.

    Args:
        path: the file.
        container: from `open_media`.
        kind: "video" or "sound".

    Raises:
        DataError: there is no such stream, or no decoder for it.
    """
    stream = attempt(lambda: _choose(container, {"video": "video", "sound": "audio"}[kind]))
    if isinstance(stream, Failure):
        raise unreadable(path, stream.why, kind) from stream.error
    if stream is None:
        raise without_stream(path, kind, pictures=bool(kind == "video" and container.streams.video))
    if stream.codec_context is None:
        raise undecodable(path, _codec_name(container, stream), kind)
    return stream


def _choose(container: Any, kind: str) -> Any:
    streams = [
        stream
        for stream in getattr(container.streams, kind)
        if not _disposition(stream) & (_ATTACHED_PICTURE | _TIMED_THUMBNAILS)
    ]
    best = container.streams.best(kind)
    if best is not None and any(stream.index == best.index for stream in streams):
        return best
    streams.sort(key=lambda stream: not _disposition(stream) & _DEFAULT)
    return streams[0] if streams else None


def _disposition(stream: Any) -> int:
    try:
        return int(stream.disposition.value)
    except ValueError:
        return 0  # it has a bit that this PyAV does not know, as no picture or thumbnails have


def _codec_name(container: Any, stream: Any) -> str:
    # PyAV has the name from the decoder only; FFmpeg's own description of the file names it too.
    logging = av().logging
    level = logging.get_level()
    logging.set_level(logging.INFO)
    try:
        text = attempt(container.dumps_format)
    finally:
        logging.set_level(level)
    if isinstance(text, Failure):
        return "of this file"
    found = re.search(rf"Stream #0:{stream.index}\b.*?: (?:Video|Audio): ([^,\n]+)", text)
    if found is None:
        return "of this file"
    name = found.group(1)
    tag = re.match(r"none \((.+?) / ", name)
    return tag.group(1) if tag else name
