"""What a user asks for: clips in one folder, sampled and divided in one way."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import fdht_models.data.folders.own.own_settings as own_settings
from fdht_models.data.folders.listing import (
    ARRAYS,
    BY_TABLE,
    GROUP_DISJOINT,
    PUBLISHED,
    SOUND,
    SPEECH,
    SPIKES,
    VIDEO,
    FolderSet,
)
from fdht_models.data.folders.own.path_pattern import check_pattern
from fdht_models.data.folders.published.ucf11_ucf50_ytc import FULL_SCALE, LENGTH
from fdht_models.data.folders.sets import OWN, get_folder_set, own_set
from fdht_models.errors import ConfigError, near_matches
from fdht_models.features import get_feature
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, Sound, Spikes, Values
from fdht_models.preprocessing.protocols import (
    PHONES,
    RANDOM_STRIDE,
    SIX,
    STRIDES,
    scored_protocol,
)
from fdht_models.settings import number, option, text, up_to, whole

#: Channels of the Spiking Heidelberg Digits.
CHANNELS = 700
#: Milliseconds of a frame of spikes: 100 frames hold the longest digit, 1.4 s.
SPIKE_FRAME_MS = 14.0


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """What to make of a set in a user's folder; None takes the set's own default.

    Attributes:
        protocol: of video and CNN features, which frames; see
            `fdht_models.preprocessing.protocols.choose_frames`.
        stride: of the protocols that have one, frames from one that is taken to the next.
        feature: of video: a key of `fdht_models.features.FEATURES`; "pixels" by default.
        dead_zone: of the feature motion_energy: the largest difference that counts as none.
        fold_rule: "group-disjoint", "published", of own clips "table", or "leaky-per-clip", which
            puts clips of one video into both splits and is never a default.
        folds: into how many parts the clips are divided.
        fold: which part is the test split, from 0.
        height: of video, rows.
        width: of video, columns.
        frame_ms: of spikes, milliseconds a frame.
        bands: of sound, mel filters.
        stack: of sound, how many frames of 10 ms make one frame as the network sees it.
        kind: of own clips (`folders`), "video", "sound" or "arrays"; this and what follows:
        pattern: a regular expression that is searched for in the path of a clip below the folder,
            without the suffix; its groups `class`, `group` and `split` tell these.
        classes: names of the classes in the order of labels; others are left out. None: the
            folder's, sorted.
        test_groups: the groups that test, of any set divided by group; None: `fold` says.
        inputs: of arrays, values a frame.
        full_scale: of arrays of floating-point numbers, the number that becomes the code 255.
        level: of sound, the loudness that recordings are brought to, in decibels of a full-scale
            sine's.
        floor: of sound, decibels that become the code 0.
        trim: of sound, decibels below the loudest frame at which silence begins.
    """

    protocol: str | None = option(text())
    stride: int | None = option(whole(1, 10_000))
    feature: str | None = option(text())
    dead_zone: int | None = option(whole(0, 254))
    fold_rule: str | None = option(text())
    folds: int | None = option(whole(1, 1000))
    fold: int | None = option(whole(0, 999))
    height: int | None = option(whole(1, 4096))
    width: int | None = option(whole(1, 4096))
    frame_ms: float | None = option(number(0, 10_000))
    bands: int | None = option(whole(1, 256))
    stack: int | None = option(whole(1, 1000))
    kind: str | None = option(text(*own_settings.KINDS))
    pattern: str | None = option(text())
    classes: tuple[str, ...] | None = option(own_settings.names(2))
    test_groups: tuple[str, ...] | None = option(own_settings.names(1))
    inputs: int | None = option(whole(1, 100_000_000))
    full_scale: float | None = option(number(0, 1e30))
    # Their ranges are checked with the kind of clips, on most of which they have no effect.
    level: float | None = option(number(-1e30, 1e30))
    floor: float | None = option(number(-1e30, 1e30))
    trim: float | None = option(number(-1e30, 1e30))


@dataclass(frozen=True)
class FolderRequest(FolderOptions):
    """A set in a user's folder, and what to make of it.

    Attributes:
        name: a key of `FOLDER_SETS`.
        root: the folder that the set was unpacked to.
        steps: frames a clip as the network sees them; None takes the set's own number.
        seed: of random frames and of random folds.
        unreadable_share: how large a part of the clips may be unreadable, from 0 to 1, before
            the folder is refused.
    """

    name: str = field(metadata={"check": text()})
    root: Path
    _: KW_ONLY
    steps: int | None = option(whole(1, 10_000))
    seed: int = option(whole(0, 2**31 - 1), 0)
    unreadable_share: float = option(up_to(1), 0.25)
    dead_zone: int = option(whole(0, 254), 0)
    fold: int = option(whole(0, 999), 0)
    height: int = option(whole(1, 4096), 120)
    width: int = option(whole(1, 4096), 160)
    frame_ms: float = option(number(0, 10_000), SPIKE_FRAME_MS)
    bands: int = option(whole(1, 256), 40)
    stack: int = option(whole(1, 1000), 1)
    level: float | None = option(number(-60, 0))
    floor: float | None = option(number(-200, -20))
    trim: float | None = option(number(0, 200))

    @property
    def folder_set(self) -> FolderSet:
        """The published set, or the set of own clips of this kind and classes."""
        if self.name == OWN:
            return own_set(self.kind or own_settings.KINDS[0], self.classes or ())
        return get_folder_set(self.name)

    def complete(self) -> FolderRequest:
        """The same request, checked, with every default written out.

        Raises:
            ConfigError: a value that cannot be used, with its name and a remedy.
        """
        checks = {entry.name: entry.metadata.get("check") for entry in fields(self)}
        given = {
            name: check(getattr(self, name), name)
            for name, check in checks.items()
            if check is not None and (name == "name" or getattr(self, name) is not None)
        }
        known = replace(self, **given).folder_set
        if not isinstance(self.root, str | Path) or not str(self.root):
            raise ConfigError("must be a folder", field="root", value=self.root)
        protocol = _choose(self.protocol, known.protocols, "protocol", known)
        rule = _choose(self.fold_rule, known.rules, "fold_rule", known)
        if self.name == OWN:
            given["kind"] = known.kind
            if self.pattern is not None:
                check_pattern(self.pattern)
            if known.kind == ARRAYS and self.inputs is None:
                why = "is missing: how many values a frame of the arrays has"
                raise ConfigError(why, field="inputs", remedy="add it")
        else:
            own_settings.refuse_of_others(self.name, list(given))
        if self.test_groups is not None:
            own_settings.check_test_groups(rule, self.folds, self.fold)
        folds = self._folds(known, rule)
        if self.fold >= folds:
            raise ConfigError(
                f"there are {folds} folds, numbered from 0",
                field="fold",
                value=self.fold,
                remedy=f"choose 0 to {folds - 1}",
            )
        given |= {
            "root": Path(self.root),
            "protocol": protocol,
            "steps": self.steps if self.steps is not None else known.steps[protocol],
            "stride": self._stride(known, protocol),
            "feature": self._feature(known),
            "fold_rule": rule,
            "folds": folds,
        }
        return replace(self, **given)

    def _folds(self, known: FolderSet, rule: str) -> int:
        if self.test_groups is not None:
            return 1
        if rule not in (PUBLISHED, BY_TABLE):
            folds = known.folds if self.folds is None else self.folds
            if folds < 2:
                raise ConfigError(
                    "one fold leaves nothing to train on",
                    field="folds",
                    value=folds,
                    remedy="choose 2 or more",
                )
            return folds
        if self.folds not in (None, known.published_folds):
            raise ConfigError(
                f"{known.title} has {known.published_folds} published divisions"
                if rule == PUBLISHED
                else "a table has one division",
                field="folds",
                value=self.folds,
                remedy="leave it out, or set fold_rule to one of "
                + ", ".join(other for other in known.rules if other != rule),
            )
        return known.published_folds

    def _stride(self, known: FolderSet, protocol: str) -> int | None:
        if self.stride is not None and protocol not in STRIDES:
            raise ConfigError(
                f"the protocol '{protocol}' has none",
                field="stride",
                value=self.stride,
                remedy=f"leave it out, or choose a protocol of {', '.join(STRIDES)}",
            )
        if protocol in STRIDES:
            return known.stride if self.stride is None else self.stride
        return None

    def _feature(self, known: FolderSet) -> str | None:
        if known.kind != VIDEO:
            given = {"feature": self.feature, "dead_zone": self.dead_zone or None}
            for name, value in given.items():
                if value is not None:
                    why = f"{known.title} is not video"
                    raise ConfigError(why, field=name, value=value, remedy="leave it out")
            return None
        feature = "pixels" if self.feature is None else self.feature
        get_feature(str(feature), self.dead_zone)  # raises, with near matches
        return feature

    def preprocessing(self, split: str = "train") -> Preprocessing:
        """What is made of a clip of a split, of a completed request."""
        known = self.folder_set
        assert self.protocol is not None and self.steps is not None
        protocol = self.protocol if split == "train" else scored_protocol(self.protocol)
        drawn = protocol in (SIX, RANDOM_STRIDE)
        sampling = Sampling(protocol, self.steps, self.stride or 1, self.seed if drawn else 0)
        if known.kind == VIDEO:
            assert self.feature is not None
            picture = Picture(self.height, self.width, self.feature, self.dead_zone)
            return Preprocessing(sampling, picture=picture)
        if known.kind == SPEECH:
            placement: Literal["centre", "start"] = "centre" if protocol == PHONES else "start"
            return Preprocessing(sampling, sound=Sound(self.bands, self.stack, placement))
        if known.kind == SOUND:
            return Preprocessing(sampling, sound=self._sound())
        if known.kind == ARRAYS:
            assert self.inputs is not None
            return Preprocessing(sampling, values=Values(self.inputs, self.full_scale))
        if known.kind == SPIKES:
            return Preprocessing(sampling, spikes=Spikes(float(self.frame_ms), CHANNELS))
        return Preprocessing(sampling, values=Values(LENGTH, FULL_SCALE))

    def _sound(self) -> Sound:
        level = own_settings.LEVEL if self.level is None else self.level
        floor = own_settings.FLOOR if self.floor is None else self.floor
        trim = own_settings.TRIM if self.trim is None else self.trim
        return Sound(self.bands, self.stack, "energy", level, floor, trim)


def _choose(value: str | None, choices: tuple[str, ...], field: str, known: FolderSet) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        why = f"{known.title} {'have' if known.name == OWN else 'has'} no such "
        why += field.replace("_", " ")
        if value == GROUP_DISJOINT:
            why = f"the names of {known.title}'s files do not say which clips belong together"
        raise ConfigError(why, field=field, value=value, remedy=near_matches(str(value), choices))
    return value
