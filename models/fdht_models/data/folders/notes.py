"""Sentences about what was found in a folder, for its report."""

from __future__ import annotations

from collections.abc import Collection

_NAMED = 5  # so many names in a sentence; the rest is counted


def name_some(names: Collection[object], shown: int = _NAMED) -> str:
    """The first few names, and how many more there are."""
    text = ", ".join(str(name) for name in list(names)[:shown])
    return text + (f" and {len(names) - shown} more" if len(names) > shown else "")


def archive_notes(archives: Collection[object]) -> list[str]:
    """A sentence on archives that lie among the clips, if there are any."""
    if not archives:
        return []
    return [f"an archive lies among the clips, perhaps not unpacked: {name_some(archives)}"]


def copy_notes(copies: Collection[object]) -> list[str]:
    """A sentence on clips that lie there more than once, if there are any."""
    if not copies:
        return []
    return [
        f"copies of clips that are there already, left out: {len(copies)} ({name_some(copies)})"
    ]


def left_out_notes(names: Collection[object], why: str) -> list[str]:
    """A sentence on files that are left out, if there are any."""
    return [f"left out, {why}: {len(names)} ({name_some(names)})"] if names else []


def class_notes(classes: Collection[str], published: Collection[str]) -> list[str]:
    """Sentences on classes that are missing, and on those that nobody published."""
    if not published:
        return []
    known = {name.lower() for name in published}
    here = {name.lower() for name in classes}
    missing = [name for name in published if name.lower() not in here]
    unknown = sorted(name for name in classes if name.lower() not in known)
    notes = []
    if missing:
        notes.append(f"classes without a clip: {len(missing)} ({name_some(missing, 100)})")
    if unknown:
        notes.append(f"classes that were not published: {len(unknown)} ({name_some(unknown)})")
    return notes
