"""A user's own clips: `<root>/<class>/...`, with groups from folders, a pattern or a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fdht_models.data.clip_sets import SPLITS
from fdht_models.data.folders.joins import composed, join
from fdht_models.data.folders.listing import ARRAYS, Clip, Listing, Problem, Span
from fdht_models.data.folders.own.clip_files import TABLE, Bar, ClipFiles, find_clips, stem_of
from fdht_models.data.folders.own.clip_table import ClipRow, ClipTable, key_of_part, read_table
from fdht_models.data.folders.own.path_pattern import class_root, search_paths
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.sentences import (
    alike_notes,
    archive_notes,
    counted_notes,
    left_out_notes,
    name_some,
)
from fdht_models.data.folders.tree import Tree, walk
from fdht_models.errors import DataError

_REMEDY = "give the folder that holds a folder of clips for each class"


@dataclass(frozen=True)
class _Found:
    """A clip as it is put together: its file, and what is known of it so far."""

    path: PurePosixPath
    stem: str
    name: str = ""
    group: str = ""
    split: str | None = None
    span: Span | None = None
    line: int = 0

    @property
    def key(self) -> str:
        """The path, and the part of the file if it is not all of it, in microseconds."""
        return str(self.path) if self.span is None else key_of_part(str(self.path), self.span)

    @property
    def source(self) -> str:
        """The group, or where none is known the file, whatever its suffix."""
        return self.group or f"file {self.stem}"


def list_own(request: FolderRequest, bar: Bar) -> Listing:
    """Lists a user's folder; files are opened, and nothing is decoded.

    Args:
        request: a completed request.
        bar: see `Bar`.

    Raises:
        DataError: it holds no clips of two classes, or what a pattern or the table says of them
            cannot be.
    """
    root, known = request.root, request.folder_set
    tree = walk(root, known.title, _REMEDY)
    files = find_clips(tree, known.kind, request.inputs, request.full_scale, bar)
    _refuse_other_case(tree)
    table = read_table(root / TABLE) if PurePosixPath(TABLE) in (*tree.files, *tree.empty) else None
    if table is not None and known.kind == ARRAYS:
        _refuse_spans(root, table)
    notes: list[str] = []
    skipped = list(files.unreadable)
    found = [_Found(path, stem_of(path, files, known.kind)) for path in files.clips]
    if not found and not skipped:
        raise _nothing(tree, files, known.kind)
    if request.pattern is not None:
        found = _apply_pattern(request.pattern, found, notes)
    found = _apply_folders(tree, request.classes, found, files, table, notes)
    if table is not None:
        found = _apply_table(root, table, found, files.pictured, skipped, notes)
    found = _of_a_class(root, known.layout, found, notes)
    found = _of_named_classes(root, request.classes, found, notes)
    classes = request.classes or tuple(sorted({one.name for one in found}))
    _refuse_too_few(root, classes, skipped)
    splits_known = any(one.split is not None for one in found)
    if splits_known:
        _refuse_divided(root, found)
    notes += _file_notes(tree, files) + _source_notes(found) + alike_notes(classes)
    clips = tuple(
        Clip(one.key, str(one.path), (classes.index(one.name),), one.source,
             (one.split or "",) if splits_known else (), one.span)
        for one in sorted(found, key=lambda one: one.key)
    )  # fmt: skip
    unpublished = "" if splits_known else f"{TABLE} with a column split is not there"
    return Listing(
        root, classes, clips, tuple(skipped), tuple(notes), unpublished,
        remedy="let at least one clip be of each of the splits train and test",
    )  # fmt: skip


def _apply_pattern(pattern: str, found: Sequence[_Found], notes: list[str]) -> list[_Found]:
    matches = search_paths(pattern, [one.stem for one in found])
    kept, unmatched = [], []
    for one, match in zip(found, matches, strict=True):
        if match is None:
            unmatched.append(one.path)
            continue
        split = match.get("split")
        if split not in (None, *SPLITS):
            raise DataError(
                f"gives {one.path} the split '{split}', which is neither train nor test",
                field="pattern",
                value=pattern,
                remedy="let it match train or test alone: (?P<split>train|test)",
            )
        kept.append(
            replace(one, name=match.get("class", ""), group=match.get("group", ""), split=split)
        )
    if found and not kept:
        raise DataError(
            f"matches none of {len(found)} paths, such as {found[0].stem}",
            field="pattern",
            value=pattern,
            remedy="it is searched for in the path below the folder, without the suffix",
        )
    notes += left_out_notes(unmatched, "where the pattern does not match")
    return kept


def _apply_folders(
    tree: Tree,
    classes: tuple[str, ...] | None,
    found: Sequence[_Found],
    files: ClipFiles,
    table: ClipTable | None,
    notes: list[str],
) -> list[_Found]:
    """Classes and groups of the clips that have none, from the folders that they lie in."""
    tabled = {composed(row.path) for row in table.rows if row.name} if table else set()
    open_ = [one.path for one in found if not one.name and composed(one.path) not in tabled]
    if not open_:
        return list(found)
    top = class_root(tree, open_, classes)
    if top.parts:
        notes.append(f"the classes are the folders in {top}")
    result = []
    for one in found:
        below = one.path.relative_to(top).parts if one.path.is_relative_to(top) else ()
        if one.path in files.pictured and len(below) == 1 and not one.name:
            if classes is None or below[0] in classes:
                raise DataError(
                    "holds pictures, and a clip is a folder of pictures",
                    field=str(tree.root / one.path),
                    remedy="put the pictures of each clip into a folder of its own: "
                    f"{one.path}/<clip>/<picture>",
                )
            below = ()
        name = one.name or (below[0] if len(below) > 1 else "")
        group = one.group or (below[1] if len(below) > 2 and below[0] == name else "")
        result.append(replace(one, name=name, group=group))
    notes += _empty_class_notes(tree, top, [one.path for one in found], classes)
    return result


def _apply_table(
    root: Path,
    table: ClipTable,
    found: Sequence[_Found],
    pictured: Collection[PurePosixPath],
    skipped: list[Problem],
    notes: list[str],
) -> list[_Found]:
    listed = {composed(path): rows for path, rows in table.by_path.items()}
    unusable = {composed(problem.path) for problem in skipped}
    joined = join(listed, ((composed(one.path), one) for one in found), unusable)
    for rows in joined.absent:
        if _exists(root / rows[0].path):
            why = "is in clips.csv and is no clip of this kind"
        else:
            why = "is in clips.csv and is not there"
            if "\\" in rows[0].path:
                why += ": write / between folders, not \\"
        skipped.append(Problem(rows[0].path, why))
    for one in pictured:
        for row in listed.get(composed(one), ()):
            if row.span is not None:
                raise DataError(
                    "a folder of pictures has no seconds",
                    field=f"{root / TABLE}: line {row.line}: start",
                    remedy="put the pictures of each part into a folder of its own",
                )
    notes += left_out_notes(
        [one.path for one in joined.unlisted], f"because no line of {TABLE} names them"
    )
    has_split = "split" in table.columns
    return [_told(one, row, has_split) for rows, one in joined.pairs for row in rows]


def _told(one: _Found, row: ClipRow, has_split: bool) -> _Found:
    """A clip with what its row says; what the row leaves out stays as it is."""
    return replace(
        one,
        name=row.name or one.name,
        group=row.group or one.group,
        split=row.split if has_split else one.split,
        span=row.span,
        line=row.line,
    )


def _of_a_class(root: Path, layout: str, found: Sequence[_Found], notes: list[str]) -> list[_Found]:
    without = [one.path for one in found if not one.name]
    kept = [one for one in found if one.name]
    if without and not kept:
        raise DataError(
            f"holds {len(without)} clips in no class's folder, such as {without[0]}",
            field=str(root),
            remedy=f"lay them out as {layout}",
        )
    notes += left_out_notes(without, "in no class's folder")
    return kept


def _of_named_classes(
    root: Path, classes: tuple[str, ...] | None, found: Sequence[_Found], notes: list[str]
) -> list[_Found]:
    if classes is None:
        return list(found)
    there = Counter(one.name for one in found)
    for name in classes:
        if not there[name]:
            raise DataError(
                "has no clip",
                field=f"classes: {name}",
                remedy=f"put clips of it into {root}, or take it out of data.classes; "
                f"there are {name_some(sorted(there), 10)}",
            )
    others = {name: count for name, count in there.items() if name not in classes}
    notes += left_out_notes(sorted(others), "classes that data.classes does not name")
    return [one for one in found if one.name in classes]


def _refuse_too_few(root: Path, classes: Sequence[str], skipped: Sequence[Problem]) -> None:
    if len(classes) > 1:
        return
    found = f"one class alone, {classes[0]}" if classes else "no class"
    why = ""
    if skipped:
        why = f"; clips that cannot be used: {len(skipped)} ({skipped[0].path} {skipped[0].reason})"
    raise DataError(
        f"holds clips of {found}: there is nothing to tell apart{why}",
        field=str(root),
        remedy=_REMEDY,
    )


def _refuse_divided(root: Path, found: Sequence[_Found]) -> None:
    """A group in both splits makes a test of what was learnt by heart."""
    first: dict[str, dict[str, _Found]] = defaultdict(dict)
    for one in found:
        if one.split:
            first[one.source].setdefault(one.split, one)
    for group, of_split in first.items():
        if len(of_split) > 1:
            train, test = of_split["train"], of_split["test"]
            where = f" (lines {train.line} and {test.line})" if train.line and test.line else ""
            raise DataError(
                f"is in both splits: {train.path} trains and {test.path} tests{where}",
                field=f"{root / TABLE if train.line else root}: group",
                value=group,
                remedy="put all of it into one split, or name two groups if they are two sources",
            )


def _refuse_other_case(tree: Tree) -> None:
    """A table of another name would be left out without a word that it was meant."""
    names = [str(path) for path in (*tree.files, *tree.empty) if len(path.parts) == 1]
    for name in names:
        if name.lower() == TABLE and TABLE not in names:
            raise DataError(
                f"is not read: the table is called {TABLE}, in small letters",
                field=str(tree.root / name),
                remedy=f"rename it to {TABLE}",
            )


def _refuse_spans(root: Path, table: ClipTable) -> None:
    for row in table.rows:
        if row.span is not None:
            raise DataError(
                "an array has no seconds",
                field=f"{root / TABLE}: line {row.line}: start",
                remedy="cut the array into files",
            )


def _file_notes(tree: Tree, files: ClipFiles) -> list[str]:
    archives = set(tree.archives)
    others = [path for path in files.others if path not in archives]
    notes = archive_notes(tree.archives) + left_out_notes(others, "no clips of this kind")
    pictured = sorted(files.pictured) if len(files.pictured) < len(files.clips) else ()
    return [
        *notes,
        *counted_notes("folders that links lead to a second time, used once", tree.again),
        *counted_notes("folders of pictures that count as a clip each", pictured),
    ]


def _source_notes(found: Sequence[_Found]) -> list[str]:
    notes = []
    unknown = [one for one in found if not one.group]
    if unknown:
        notes.append(
            f"clips whose source is not known, each file a group of its own: {len(unknown)} of "
            f"{len(found)}; group clips that were cut from one film or recording (docs/datasets.md)"
        )
    twins: dict[str, set[PurePosixPath]] = defaultdict(set)
    for one in found:
        twins[one.stem].add(one.path)
    doubled = sorted(name for name, paths in twins.items() if len(paths) > 1)
    return notes + counted_notes(
        "clips of one name with several suffixes, all used",
        doubled,
        advice="; take one out if they are the same",
    )


def _empty_class_notes(
    tree: Tree,
    top: PurePosixPath,
    clips: Sequence[PurePosixPath],
    classes: tuple[str, ...] | None,
) -> list[str]:
    used = {parent for path in clips for parent in (path, *path.parents)}
    empty = [
        folder.name
        for folder in tree.folders
        if folder.parent == top
        and folder not in used
        and folder not in tree.again
        and (classes is None or folder.name in classes)
    ]
    return counted_notes(
        "folders of classes without a clip, left out",
        empty,
        advice="; put clips there, or delete them",
    )


def _nothing(tree: Tree, files: ClipFiles, kind: str) -> DataError:
    found = "no file with data in it"
    if files.others:
        found = f"{len(files.others)} other files ({name_some(files.others, 3)})"
    return DataError(
        f"holds no clip of the kind {kind}; found {found}",
        field=str(tree.root),
        remedy=f"unpack {name_some(tree.archives)} there"
        if tree.archives
        else f"{_REMEDY}, and say what they are (kind: video, sound or arrays)",
    )


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.exists()
    return False
