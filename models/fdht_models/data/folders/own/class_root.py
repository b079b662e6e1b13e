"""Where in a user's folder the folders of the classes lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from fdht_models.data.folders.published.class_names import words
from fdht_models.data.folders.tree import Tree
from fdht_models.errors import DataError

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
