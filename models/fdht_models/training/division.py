"""Which training clips are held out to validate on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fdht_models.data import ClipSet
from fdht_models.errors import ConfigError
from fdht_models.training.phase import Phase

#: Keeps the choice of clips that are held out apart from the order of epochs.
_HELD_OUT = 0x68656C64

Numbers = npt.NDArray[np.int64]


def divide(clips: ClipSet, phase: Phase) -> tuple[Numbers, Numbers]:
    """Numbers of the clips to train on, and of those held out, both ascending.

    Raises:
        ConfigError: so few clips that one of the two would be empty, or groups are to be held out
            that are not known, or that cannot be divided.
    """
    count = len(clips)
    if not phase.validation_share:
        return np.arange(count), np.arange(0)
    if by_groups(clips, phase):
        return _divide_groups(clips, phase)
    held_out = round(count * phase.validation_share)
    if not 0 < held_out < count:
        raise ConfigError(
            f"of {count} clips {held_out} would be held out, and {count - held_out} trained on",
            field="training.validation_share",
            value=phase.validation_share,
            remedy="choose another share, or more training clips",
        )
    order = _generator(phase).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def division_line(clips: ClipSet, phase: Phase) -> str | None:
    """Says what is held out; None: nothing.

    Raises:
        ConfigError: as `divide`.
    """
    _, held_out = divide(clips, phase)
    if not len(held_out):
        return None
    counts = f"{len(held_out)} of {len(clips)} training clips are held out to validate on"
    if by_groups(clips, phase):
        assert clips.groups is not None
        groups, all_groups = (len(np.unique(one)) for one in (clips.groups[held_out], clips.groups))
        return f"{counts}: {groups} of {all_groups} groups"
    return f"{counts}, one by one"


def by_groups(clips: ClipSet, phase: Phase) -> bool:
    """True if whole groups are held out.

    Raises:
        ConfigError: they are asked for and not known, or there is one only.
    """
    known = 0 if clips.groups is None else len(np.unique(clips.groups))
    if phase.validation == "groups" and known < 2:
        raise ConfigError(
            "all training clips are of one group" if known else "the set's groups are not known",
            field="training.validation",
            value=phase.validation,
            remedy="use clips" if known else "use clips, or a folder that says who or what is seen",
        )
    return phase.validation != "clips" and known > 1


def _divide_groups(clips: ClipSet, phase: Phase) -> tuple[Numbers, Numbers]:
    """Groups in a drawn order, as long as each brings the share nearer and leaves every class."""
    assert clips.groups is not None
    wanted = len(clips) * phase.validation_share
    left = np.bincount(clips.labels, minlength=len(clips.classes))
    chosen: list[int] = []
    done = 0
    for group in _generator(phase).permutation(np.unique(clips.groups)):
        own = np.bincount(clips.labels[clips.groups == group], minlength=len(left))
        size = int(own.sum())
        loses_a_class = bool(((own > 0) & (own == left)).any())
        if loses_a_class or abs(done + size - wanted) >= abs(done - wanted):
            continue
        chosen.append(int(group))
        left, done = left - own, done + size
    if not chosen:
        raise ConfigError(
            "no group is so small, or none can be spared by its classes",
            field="training.validation_share",
            value=phase.validation_share,
            remedy="choose a larger share, or training.validation = 'clips'",
        )
    held_out = np.isin(clips.groups, chosen)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _generator(phase: Phase) -> np.random.Generator:
    return np.random.default_rng([phase.seed, _HELD_OUT])
