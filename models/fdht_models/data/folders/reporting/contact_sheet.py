"""`draw_sheet`: a row of clips for each class, as one picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import write_bytes
from fdht_models.data.folders.decoding.shards import Reader, clip_reader, span_in_seconds
from fdht_models.data.folders.listing import VIDEO, Clip
from fdht_models.data.folders.reporting.overview import Overview
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.packages import import_package
from fdht_models.errors import ConfigError, DataError
from fdht_models.media import FrameClock
from fdht_models.preprocessing.frames import read_frames, read_pictures
from fdht_models.preprocessing.protocols import exact_span

_COLUMNS, _ROWS = 6, 40
_WIDTH, _HEIGHT, _TEXT, _GAP = 160, 120, 14, 6
_BACKGROUND, _INK, _FAULT = (255, 255, 255), (0, 0, 0), (178, 24, 24)
_LETTERS = 26  # of a name under a picture
_SUFFIX = ".png"


def check_sheet(path: Path) -> None:
    """Raises an FdhtError unless a sheet can be called so, and Pillow is there to draw it."""
    if path.suffix.lower() != _SUFFIX:
        raise ConfigError(
            "is drawn as .png", field="sheet", value=str(path), remedy="give it that suffix"
        )
    import_package("PIL.ImageDraw", "pillow")


def choose_clips(overview: Overview, clips: Sequence[Clip]) -> list[list[Clip]]:
    """The clips of each row of a sheet: some of each of the first classes, evenly from all."""
    rows = []
    for label in range(min(len(overview.listing.classes), _ROWS)):
        of_class = [clip for clip in clips if label in clip.labels]
        count = min(len(of_class), _COLUMNS)
        places = [(2 * place + 1) * len(of_class) // (2 * count) for place in range(count)]
        rows.append([of_class[place] for place in places])
    return rows


def draw_sheet(
    overview: Overview, rows: Sequence[Sequence[Clip]], path: Path, tick: Callable[[int], None]
) -> None:
    """Draws the middle picture of each clip; of sound and anything else, what the network sees.

    A clip that cannot be decoded is an empty field that says so.

    Args:
        overview: of the folder.
        rows: see `choose_clips`.
        path: the .png to write.
        tick: called with 1 for each clip.

    Raises:
        DataError: Pillow is missing.
        ArtifactError: the picture cannot be written.
    """
    image = import_package("PIL.Image", "pillow")
    draw = import_package("PIL.ImageDraw", "pillow")
    pitch = _TEXT + _HEIGHT + _TEXT + _GAP
    size = (_GAP + _COLUMNS * (_WIDTH + _GAP), len(rows) * pitch)
    sheet = image.new("RGB", size, _BACKGROUND)
    pen = draw.Draw(sheet)
    with clip_reader(overview.request, "test") as read:
        for label, clips in enumerate(rows):
            top = label * pitch
            pen.text((_GAP, top), _shown(overview.listing.classes[label], 4 * _LETTERS), fill=_INK)
            for place, clip in enumerate(clips):
                left = _GAP + place * (_WIDTH + _GAP)
                try:
                    found = image.fromarray(_picture(overview, clip, read))
                    sheet.paste(found, (left, top + _TEXT))
                    under, ink = clip.key.rsplit("/", 1)[-1], _INK
                except DataError as error:
                    under, ink = error.problem, _FAULT
                pen.text((left, top + _TEXT + _HEIGHT), _shown(under, _LETTERS), fill=ink)
                tick(1)
    data = io.BytesIO()
    sheet.save(data, format="PNG")
    write_bytes(path, data.getvalue())


def _picture(overview: Overview, clip: Clip, read: Reader) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], at most as large as a field."""
    request = overview.request
    if request.folder_set.kind == VIDEO:
        height, width = _fitting(overview.facts[clip.path].size)
        return _middle_picture(request, clip, height, width)
    values = read(clip).values
    sound = request.preprocessing("test").sound
    if sound is not None:
        values = values.reshape(-1, sound.bands)
    rows = values.T[::-1]  # low bands at the bottom, time to the right
    places = (
        np.arange(_HEIGHT)[:, None] * len(rows) // _HEIGHT,
        np.arange(_WIDTH) * rows.shape[1] // _WIDTH,
    )
    return np.repeat(rows[places][:, :, None], 3, axis=2)


def _middle_picture(
    request: FolderRequest, clip: Clip, height: int, width: int
) -> NDArray[np.uint8]:
    path, span = request.root / clip.path, span_in_seconds(clip)

    def choose(clock: FrameClock) -> list[int]:
        part = range(clock.count)
        if span is not None and clock.seconds is not None:
            first, last = exact_span(path, span)
            part = clock.within(first, clock.seconds + clock.step if last is None else last)
        return [part[len(part) // 2]] if part else []

    if path.is_dir():
        found = read_pictures(path, choose, height, width)
    else:
        found = read_frames(path, choose, height, width)
    if not found.pictures:
        raise DataError("holds no frame there", field=str(path), remedy="copy the clip again")
    return found.pictures[0]


def _fitting(size: str) -> tuple[int, int]:
    """The largest height and width in a field of the shape "640x480"."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        return _HEIGHT, _WIDTH
    scale = min(_WIDTH / int(width), _HEIGHT / int(height))
    return max(1, round(int(height) * scale)), max(1, round(int(width) * scale))


def _shown(text: str, most: int) -> str:
    """Letters that the built-in font has."""
    plain = text.encode("latin-1", "replace").decode("latin-1")
    return plain if len(plain) <= most else plain[: most - 2] + ".."
