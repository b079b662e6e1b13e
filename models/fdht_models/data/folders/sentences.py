"""Sentences about what was found in a folder, for its report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection

from fdht_models.data.folders.joins import composed, join
from fdht_models.data.folders.listing import Clip
from fdht_models.data.folders.own.clip_table import MICROSECONDS, OPEN_END

_CLASSES = 3  # classes that a sentence on clips in no list names
_NAMED = 5  # so many names in a sentence; the rest is counted


def name_some(names: Collection[object], shown: int = _NAMED) -> str:
    """The first few names, and how many more there are."""
    text = ", ".join(str(name) for name in list(names)[:shown])
    return text + (f" and {len(names) - shown} more" if len(names) > shown else "")


def clip_name(clip: Clip) -> str:
    """What an own clip is called to people: its path, and the seconds of its part of the file."""
    if clip.span is None:
        return clip.path
    first, last = clip.span
    end = "its end" if last == OPEN_END else f"{_seconds(last)} s"
    return f"{clip.path} from {_seconds(first)} s to {end}"


def _seconds(microseconds: int) -> str:
    whole, part = divmod(microseconds, MICROSECONDS)
    return f"{whole}.{part:06}".rstrip("0").rstrip(".")


def alike_notes(classes: Collection[str]) -> list[str]:
    """A sentence on classes that were perhaps meant to be one, if there are any."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        # Folding case may take letters apart again.
        alike[composed(composed(name).casefold())].append(name)
    found = [" and ".join(names) for names in alike.values() if len(names) > 1]
    if not found:
        return []
    return [
        "classes that differ only in case or in how letters are composed: "
        f"{name_some(found)}; rename the folders, or correct the table, if they are one class"
    ]


def archive_notes(archives: Collection[object]) -> list[str]:
    """A sentence on archives that lie among the clips, if there are any."""
    if not archives:
        return []
    return [f"an archive lies among the clips, perhaps not unpacked: {name_some(archives)}"]


def counted_notes(
    what: str, names: Collection[object], shown: int = _NAMED, advice: str = ""
) -> list[str]:
    """A sentence on how many of something there are, with the first few names, if there are any."""
    return [f"{what}: {len(names)} ({name_some(names, shown)}){advice}"] if names else []


def copy_notes(copies: Collection[object]) -> list[str]:
    """A sentence on clips that lie there more than once, if there are any."""
    return counted_notes("copies of clips that are there already, left out", copies)


def left_out_notes(names: Collection[object], why: str) -> list[str]:
    """A sentence on files that are left out, if there are any."""
    return counted_notes(f"left out, {why}", names)


def unlisted_notes(classes: Collection[str], names: Collection[object]) -> list[str]:
    """A sentence on clips that no list names, if there are any.

    Args:
        classes: the class of each of them, or () where their names do not tell it.
        names: what they are called.
    """
    if not names:
        return []
    counts = Counter(classes).most_common()
    parts = [f"{_clips(count)} of {name}" for name, count in counts[:_CLASSES]]
    more = counts[_CLASSES:]
    if more:
        parts.append(f"{_clips(sum(count for _, count in more))} of {len(more)} more classes")
    text = ", ".join(parts) or _clips(len(names))
    verb = "is" if len(names) == 1 else "are"
    return [f"{text} {verb} in no list ({name_some(names, 3)})"]


def class_notes(classes: Collection[str], published: Collection[str]) -> list[str]:
    """Sentences on classes that are missing, and on those that nobody published."""
    if not published:
        return []
    joined = join({name.lower(): name for name in published},
                  ((name.lower(), name) for name in sorted(classes)))  # fmt: skip
    return [
        *counted_notes("classes without a clip", joined.absent, 100),
        *counted_notes("classes that were not published", joined.unlisted),
    ]


def _clips(count: int) -> str:
    return f"{count} clip" if count == 1 else f"{count} clips"
