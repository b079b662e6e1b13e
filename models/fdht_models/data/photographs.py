"""The photographs that clips are made from: where they ship, whose they are, who may use them.

`photographs.toml` lists only pictures whose licence is stated by the package that ships them, and
permits this use. docs/pictures.md says the same in prose, and which were left out and why.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.packages import REMEDY, digest_array, import_package, package_file
from fdht_models.documents import read_toml_file
from fdht_models.errors import DataError
from fdht_models.records import read_record

PICTURE_WIDTH, PICTURE_HEIGHT = 320, 240
"""Every picture is resized to this, twice the frame, so that a frame is a crop of it."""


@dataclass(frozen=True)
class Photograph:
    """One photograph.

    Attributes:
        package: the installed package that ships it (its import name).
        file: its path in that package.
        split: "train" or "test"; a photograph is never in both.
        author: who made it.
        licence: under what it may be used, as the package states it.
        source: where the package has it from.
    """

    package: str
    file: str
    split: Literal["train", "test"]
    author: str
    licence: str
    source: str

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return self.file.rsplit("/", 1)[-1].rsplit(".", 1)[0]


_TABLE = read_toml_file(Path(__file__).with_suffix(".toml"))
PICTURES: tuple[Photograph, ...] = read_record(
    tuple[Photograph, ...], _TABLE["photographs"], path="photographs"
)


@functools.cache
def load_picture(picture: Photograph) -> NDArray[np.uint8]:
    """Returns a picture, resized: read-only uint8 [240, 320, 3].

    Raises:
        DataError: its package or Pillow is not installed, or the file cannot be decoded.
    """
    path = package_file(picture.package, picture.file)
    image_module = import_package("PIL.Image", "pillow")
    try:
        with image_module.open(path) as image:
            resized = image.convert("RGB").resize(
                (PICTURE_WIDTH, PICTURE_HEIGHT), image_module.Resampling.BICUBIC
            )
    except OSError as error:
        raise DataError(f"cannot be decoded ({error})", field=str(path), remedy=REMEDY) from error
    array = np.array(resized, np.uint8)
    array.setflags(write=False)
    return array


def pictures_of(split: str) -> tuple[Photograph, ...]:
    """Returns the photographs of a split."""
    return tuple(picture for picture in PICTURES if picture.split == split)


def picture_digests(split: str) -> dict[str, str]:
    """Returns the SHA-256 of each picture of a split as resized, by its name.

    Of the resized pixels, not of the file: another version of Pillow may decode or resize
    otherwise, and then other clips come out.
    """
    return {
        f"picture:{picture.name}": digest_array(load_picture(picture))
        for picture in pictures_of(split)
    }
