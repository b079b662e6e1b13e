"""What the path of a user's clip tells: by folders, or by a regular expression of the user's.

An expression such as `(a+)+b` may take longer than the universe is old. Python's engine cannot be
stopped from inside, so that paths are searched by a process of its own, which is given some
seconds.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from fdht_models.data.folders.tree import Tree, words
from fdht_models.errors import ConfigError, DataError, near_matches
from fdht_models.workers import WorkerProcess

#: What the named groups of a pattern may be called.
GROUPS = ("class", "group", "split")

_LONGEST = 1000  # characters of an expression
_EXAMPLE = "write one such as '(?P<class>[^/]+)/(?P<group>[a-z0-9]+)_' (docs/datasets.md)"
_SECONDS, _SECONDS_A_PATH = 10.0, 1e-3
_SEARCH = """
import json, re, sys, warnings
warnings.simplefilter("ignore")
given = json.loads(sys.stdin.readline())
pattern = re.compile(given["pattern"])
found = (pattern.search(path) for path in given["paths"])
found = [None if match is None else match.groupdict() for match in found]
print(json.dumps({"found": found}), flush=True)
"""
_SEARCHER = (sys.executable, "-I", "-S", "-c", _SEARCH)
#: Seconds from being told to end to the end.
_ENDING_SECONDS = 2.0


def check_pattern(pattern: str) -> None:
    """Checks an expression.

    Raises:
        ConfigError: it is too long or no expression, or names none of `GROUPS`, or another group.
    """

    def refusal(why: str, remedy: str = _EXAMPLE) -> ConfigError:
        return ConfigError(why, field="pattern", value=pattern, remedy=remedy)

    if len(pattern) > _LONGEST:
        raise refusal(f"must be a text of 1 to {_LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names = tuple(re.compile(pattern).groupindex)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        raise refusal(f"is no regular expression ({error})") from error
    for name in names:
        if name not in GROUPS:
            why = f"names a group '{name}', which means nothing here"
            raise refusal(why, near_matches(name, GROUPS))
    if not names:
        raise refusal("names no group")


def search_paths(pattern: str, paths: Sequence[str]) -> list[Mapping[str, str] | None]:
    """What the named groups of a checked pattern hold in each path; None where it does not match.

    A group that took no part in a match is left out.

    Raises:
        DataError: the search takes too long.
    """
    seconds = _SECONDS + _SECONDS_A_PATH * len(paths)
    worker, until = WorkerProcess(_SEARCHER, {}), time.monotonic() + seconds
    try:
        worker.send({"pattern": pattern, "paths": list(paths)})
        answers: list[dict[str, Any]] = []
        while not answers and worker.answers_within(until - time.monotonic()):
            answers = worker.receive()
    except (OSError, EOFError) as error:
        raise _refusal(pattern, f"cannot be searched for ({worker.last_words()})") from error
    finally:
        worker.terminate()
        worker.close(_ENDING_SECONDS)
    if not answers:
        raise _refusal(pattern, f"took longer than {seconds:.0f} s for {len(paths)} paths")
    return [
        None if found is None else {key: value for key, value in found.items() if value is not None}
        for found in answers[0]["found"]
    ]


def _refusal(pattern: str, why: str) -> DataError:
    return DataError(
        why,
        field="pattern",
        value=pattern,
        remedy="write it without a repetition inside a repetition, such as (a+)+",
    )


_TOP = PurePosixPath()
#: Folders called so hold a split each, and no class.
_SPLIT_NAMES = words("train training test testing val valid validation dev eval evaluation")


def class_root(
    tree: Tree, clips: Sequence[PurePosixPath], classes: tuple[str, ...] | None
) -> PurePosixPath:
    """The folder whose folders are the classes: `tree.root` or one below, relative to it.

    A folder that is alone and holds no clip itself wraps those in it, as unpacking an archive makes
    it: the first folder counts in which there are two or more with clips, or, where classes are
    named, one that is called so.

    Args:
        tree: the folder.
        clips: those whose class their folders tell.
        classes: their names, if they are given.

    Raises:
        DataError: the folders there are called as splits are.
    """
    place = _TOP
    while True:
        inside: dict[str, int] = defaultdict(int)
        direct = False
        for path in clips:
            parts = path.relative_to(place).parts if path.is_relative_to(place) else ()
            if len(parts) > 1:
                inside[parts[0]] += 1
            direct = direct or len(parts) == 1
        if classes is not None and any(name in classes for name in inside):
            return place
        if len(inside) > 1:
            _refuse_splits(tree, place, list(inside))
            return place
        if len(inside) != 1 or direct:
            # Nothing wraps anything: the one folder, if there is one, is the one class.
            return _TOP
        place = place / next(iter(inside))


def _refuse_splits(tree: Tree, place: PurePosixPath, names: Sequence[str]) -> None:
    if all(name.lower() in _SPLIT_NAMES for name in names):
        raise DataError(
            f"its folders are called as splits, not as classes: {', '.join(sorted(names))}",
            field=str(tree.root / place),
            remedy="set data.pattern = '(?P<split>train|test)/(?P<class>[^/]+)/' and "
            "data.fold_rule = 'table'",
        )
