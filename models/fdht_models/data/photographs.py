"""The photographs that clips are made from: where they ship, whose they are, who may use them.

Only pictures whose licence is stated by the package that ships them, and permits this use, are
listed. docs/pictures.md says the same in prose, and which pictures were left out and why.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.packages import REMEDY, digest_array, import_package, package_file
from fdht_models.errors import DataError

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
    split: str
    author: str
    licence: str
    source: str

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return self.file.rsplit("/", 1)[-1].rsplit(".", 1)[0]


_CC0 = "CC0 1.0"
_PUBLIC_DOMAIN = "public domain"
_CC_BY = "CC BY 2.0"


def _skimage(file: str, split: str, author: str, licence: str, source: str) -> Photograph:
    return Photograph("skimage", f"data/{file}", split, author, licence, source)


def _sklearn(file: str, split: str, author: str, source: str) -> Photograph:
    return Photograph("sklearn", f"datasets/images/{file}", split, author, _CC_BY, source)


PICTURES: tuple[Photograph, ...] = (
    _skimage("astronaut.png", "train", "NASA", _PUBLIC_DOMAIN, "https://flic.kr/p/r9qvLn"),
    _skimage(
        "brick.png", "train", "CC0Textures", _CC0, "https://cc0textures.com/view.php?tex=Bricks25"
    ),
    _skimage(
        "camera.png",
        "train",
        "Lav Varshney",
        _CC0,
        "https://github.com/scikit-image/scikit-image/issues/3927",
    ),
    _skimage(
        "cell.png", "train", "Paul Müller et al.", _CC0, "https://doi.org/10.1364/OE.26.010729"
    ),
    _skimage("chelsea.png", "train", "Stefan van der Walt", _CC0, "scikit-image"),
    _skimage("clock_motion.png", "train", "Stefan van der Walt", _PUBLIC_DOMAIN, "scikit-image"),
    _skimage(
        "grass.png",
        "train",
        "linolafett",
        _CC0,
        "https://www.deviantart.com/linolafett/art/Grass-01-434853879",
    ),
    _skimage(
        "hubble_deep_field.jpg",
        "train",
        "NASA",
        _PUBLIC_DOMAIN,
        "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/",
    ),
    _skimage(
        "text.png",
        "train",
        "Wikipedia contributor",
        _PUBLIC_DOMAIN,
        "https://en.wikipedia.org/wiki/File:Corner.png",
    ),
    _sklearn(
        "flower.jpg",
        "train",
        "Flickr user vultilion",
        "https://www.flickr.com/photos/vultilion/6056698931/sizes/z/in/photostream/",
    ),
    _skimage("coffee.png", "test", "Rachel Michetti, Pikolo Espresso Bar", _CC0, "scikit-image"),
    _skimage(
        "gravel.png", "test", "CC0Textures", _CC0, "https://cc0textures.com/view.php?tex=Gravel04"
    ),
    _skimage(
        "retina.jpg",
        "test",
        "Mikael Häggström",
        _CC0,
        "https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg",
    ),
    _skimage(
        "rocket.jpg",
        "test",
        "SpaceX",
        _PUBLIC_DOMAIN,
        "https://www.flickr.com/photos/spacexphotos/16511594820/in/photostream/",
    ),
    _sklearn(
        "china.jpg",
        "test",
        "Flickr user danielbuechele",
        "https://www.flickr.com/photos/danielbuechele/6061409035/sizes/z/in/photostream/",
    ),
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
