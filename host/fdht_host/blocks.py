"""A file as blocks of network inputs: as in training, as if it came live, or frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fdht_host.live import array_blocks, sound_blocks, video_blocks
from fdht_host.readers import EVERY, STREAM, TRAINED, Blocks, FileAccount, InputBlock, Reader, Span
from fdht_host.video import read_labels
from fdht_models.errors import ConfigError, DataError
from fdht_models.preprocessing import read_clip


def blocks_of(
    reader: Reader, path: Path, key: str, span: Span | None, account: FileAccount
) -> Blocks:
    """Yields a file block by block; no more than one of them is held in memory.

    Args:
        reader: how.
        path: the file.
        key: names the clip; random choices depend on it.
        span: [first, last) of the clip's part of the file in seconds, read as in training only.
        account: filled on the way.

    Raises:
        DataError: the file cannot be read, or holds too little; blocks before damage were yielded.
        ConfigError: the file does not go with the options.
    """
    if reader.clipwise:
        yield _clip(reader, path, key, span, account)
        return
    if span is not None:
        raise ConfigError(
            "is a part of a file, and streams are whole",
            field=str(path),
            value=span,
            remedy=f"use --protocol {TRAINED}",
        )
    preprocessing = reader.preprocessing
    kinds: dict[str, Callable[[Reader, Path, FileAccount], Blocks]] = {
        "picture": video_blocks,
        "values": array_blocks,
        "sound": sound_blocks,
    }
    found = False
    with closing(kinds[preprocessing.kind](reader, path, account)) as stream:
        for block in stream:
            found = True
            yield block
    if not found:
        raise DataError(
            "has too few frames for a single result",
            field=str(path),
            value=account.there,
            remedy="give a longer file",
        )


def _clip(
    reader: Reader, path: Path, key: str, span: Span | None, account: FileAccount
) -> InputBlock:
    """A file as training reads a clip."""
    if reader.preprocessing.picture is not None and read_labels(path) is not None:
        raise ConfigError(
            "has labels beside it, which mark clips of a stream",
            field=str(path),
            remedy=f"use --protocol {STREAM} or {EVERY}, or take the labels away",
        )
    started = time.perf_counter()
    clip = read_clip(path, key, reader.scored, span)
    account.times.read_seconds += time.perf_counter() - started
    account.times.read_inputs += len(clip.values)
    account.used, account.there = clip.used, clip.frames
    account.damage, account.time_step = clip.damage, clip.time_step
    return InputBlock(clip.values, True, None)
