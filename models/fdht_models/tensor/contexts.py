"""Contexts: states that a core keeps, each of a stream of its own.

Numbers of contexts are powers of two, so that every value of the low bits of the core's register
`context` names one.
"""

from __future__ import annotations

from fdht_models.errors import ConfigError

#: How many a core may keep.
CONTEXTS = (1, 2, 4, 8, 16, 32, 64)


def context_count(value: object, path: str) -> int:
    """Checks a number of contexts.

    Raises:
        ConfigError: no core keeps so many; names `path`.
    """
    if type(value) is not int or value not in CONTEXTS:
        raise ConfigError(
            "is no number of contexts",
            field=path,
            value=value,
            remedy=f"use {', '.join(map(str, CONTEXTS[:-1]))} or {CONTEXTS[-1]}",
        )
    return value


def check_contexts(count: int, frames: str | None, path: str = "contexts") -> None:
    """Refuses contexts of a core that computes the feature of raw frames.

    It would have to keep a frame of video for each: 57,600 bytes are 16 blocks of 36 Kbit.

    Args:
        count: contexts.
        frames: that the core reads, one of `CORE_FRAMES`.
        path: of the setting.

    Raises:
        ConfigError: there are several of such a core.
    """
    if count > 1 and frames == "raw":
        raise ConfigError(
            "would each keep a frame of video on the chip, where the core computes the feature",
            field=path,
            value=count,
            remedy='use 1, or feature = "host" in [core], or --feature host',
        )
