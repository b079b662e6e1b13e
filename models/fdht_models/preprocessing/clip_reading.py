"""`read_clip`: one file, or a part of it, as a network sees it."""

from __future__ import annotations

from pathlib import Path

from fdht_models.errors import ConfigError
from fdht_models.preprocessing.definition import ClipInputs, Preprocessing
from fdht_models.preprocessing.protocols import Span
from fdht_models.preprocessing.recording import read_sound_clip
from fdht_models.preprocessing.values import read_values
from fdht_models.preprocessing.video_clips import read_video


def read_clip(
    path: Path,
    key: str,
    preprocessing: Preprocessing,
    span: Span | None = None,
    *,
    threads: int = 1,
    raw: bool = False,
) -> ClipInputs:
    """Reads a clip as a network was trained on it.

    Args:
        path: a video or sound file, a folder of pictures, or an array.
        key: names the clip; random choices depend on it.
        preprocessing: of the network.
        span: [first, last) of the clip's part of the file, in seconds; None for all of it.
        threads: of a video's decoder; 0 takes one a processor. The integers are the same.
        raw: frames of video as they are; see `read_video`.

    Raises:
        DataError: the file cannot be read, or holds too little.
        ConfigError: no file holds what this network sees.
    """
    if preprocessing.picture is not None:
        own = (preprocessing.sampling, preprocessing.picture)
        return read_video(path, key, *own, span, threads=threads, raw=raw)
    if preprocessing.sound is not None:
        return read_sound_clip(path, preprocessing.sampling, preprocessing.sound, span)
    if preprocessing.values is not None:
        return read_values(path, key, preprocessing.sampling, preprocessing.values, span)
    raise ConfigError(
        "takes spikes, which are read from their published set alone",
        field="source",
        value=str(path),
        remedy="use --source test",
    )
