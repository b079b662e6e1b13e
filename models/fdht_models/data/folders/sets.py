"""The published sets that a user may bring, by name, and a user's own clips."""

from __future__ import annotations

import functools
from dataclasses import replace

import fdht_models.data.folders.own.own_listing as own
from fdht_models.data.folders.listing import (
    BY_TABLE,
    GROUP_DISJOINT,
    LEAKY,
    PUBLISHED,
    SOUND,
    SPEECH,
    SPIKES,
    VECTORS,
    VIDEO,
    FolderSet,
)
from fdht_models.data.folders.published import (
    class_names,
    hmdb51_hollywood2,
    shd,
    timit_ted_lium,
    ucf11_ucf50_ytc,
)
from fdht_models.errors import require_known
from fdht_models.preprocessing.protocols import (
    BINS,
    CONSECUTIVE,
    FRAME_PROTOCOLS,
    PHONES,
    RANDOM_STRIDE,
    SIX,
    STRIDE,
    TT_RNN,
    UNIFORM,
    UTTERANCES,
    WINDOW,
)

#: The first is the default.
_VIDEO_PROTOCOLS = (SIX, TT_RNN, UNIFORM, CONSECUTIVE, STRIDE, RANDOM_STRIDE)
_GROUPS = (GROUP_DISJOINT, LEAKY)

#: A user's own clips.
OWN = "folders"
#: Frames a clip of a user's own: of video and arrays, and of sound (a second).
_OWN_STEPS, _OWN_SOUND_STEPS = 16, 100


def _video_steps(longest: int) -> dict[str, int]:
    # Of `tt_rnn`: the longest clip in frames, as its authors' programs pad to.
    return {**dict.fromkeys(_VIDEO_PROTOCOLS, 6), TT_RNN: longest}


_video = functools.partial(FolderSet, kind=VIDEO, protocols=_VIDEO_PROTOCOLS)

FOLDER_SETS: dict[str, FolderSet] = {
    folder_set.name: folder_set
    for folder_set in (
        _video(
            name="ucf11",
            title="UCF11",
            layout=ucf11_ucf50_ytc.UCF11_LAYOUT,
            find=ucf11_ucf50_ytc.list_ucf11,
            class_count=11,
            classes=class_names.UCF11,
            expected={"all": 1600},
            rules=_GROUPS,
            steps=_video_steps(1492),
        ),
        _video(
            name="ucf50",
            title="UCF50",
            layout=ucf11_ucf50_ytc.UCF50_LAYOUT,
            find=ucf11_ucf50_ytc.list_ucf50,
            class_count=50,
            classes=class_names.UCF50,
            expected={"all": 6618},
            rules=_GROUPS,
            steps=_video_steps(1492),
        ),
        _video(
            name="hmdb51",
            title="HMDB51",
            layout=hmdb51_hollywood2.HMDB51_LAYOUT,
            find=hmdb51_hollywood2.list_hmdb51,
            class_count=51,
            classes=class_names.HMDB51,
            expected={"all": 6766},
            steps=_video_steps(90),
            published_folds=3,
            stride=3,
        ),
        _video(
            name="ytc",
            title="YouTube Celebrities Face",
            layout=ucf11_ucf50_ytc.YTC_LAYOUT,
            find=ucf11_ucf50_ytc.list_ytc,
            class_count=47,
            classes=(),
            expected={"all": 1910},
            rules=_GROUPS,
            steps=_video_steps(85),
            folds=3,
        ),
        _video(
            name="hollywood2",
            title="Hollywood2",
            layout=hmdb51_hollywood2.HOLLYWOOD2_LAYOUT,
            find=hmdb51_hollywood2.list_hollywood2,
            class_count=12,
            classes=class_names.HOLLYWOOD2,
            expected={"train": 823, "test": 884},
            rules=(PUBLISHED, LEAKY),
            steps=_video_steps(1496),
        ),
        FolderSet(
            name="shd",
            title="Spiking Heidelberg Digits",
            kind=SPIKES,
            layout=shd.LAYOUT,
            find=shd.list_shd,
            class_count=20,
            classes=(),
            expected={"train": 8156, "test": 2264},
            protocols=(BINS,),
            steps={BINS: 100},
        ),
        FolderSet(
            name="timit",
            title="TIMIT",
            kind=SPEECH,
            layout=timit_ted_lium.TIMIT_LAYOUT,
            find=timit_ted_lium.list_timit,
            class_count=39,
            classes=class_names.TIMIT,
            expected={"train": 3696, "test": 1344},
            protocols=(PHONES,),
            steps={PHONES: 21},
        ),
        FolderSet(
            name="ted-lium",
            title="TED-LIUM",
            kind=SPEECH,
            layout=timit_ted_lium.TED_LIUM_LAYOUT,
            find=timit_ted_lium.list_ted_lium,
            class_count=2,
            classes=class_names.TED_LIUM,
            expected={"train": 774, "test": 11},
            protocols=(UTTERANCES,),
            steps={UTTERANCES: 100},
        ),
        FolderSet(
            name="features",
            title=ucf11_ucf50_ytc.FEATURES_TITLE,
            kind=VECTORS,
            layout=ucf11_ucf50_ytc.FEATURES_LAYOUT,
            find=ucf11_ucf50_ytc.list_features,
            class_count=11,
            classes=class_names.UCF11,
            expected={"all": 1600},
            rules=_GROUPS,
            protocols=_VIDEO_PROTOCOLS,
            steps=_video_steps(1492),
        ),
        FolderSet(
            name=OWN,
            title=own.TITLE,
            kind=VIDEO,
            layout=own.LAYOUT,
            find=functools.partial(own.list_own, layout=own.OwnLayout(VIDEO)),
            class_count=None,
            classes=(),
            expected={},
            rules=(GROUP_DISJOINT, BY_TABLE, LEAKY),
            protocols=FRAME_PROTOCOLS,
            steps=dict.fromkeys(FRAME_PROTOCOLS, _OWN_STEPS),
        ),
    )
}


def own_set(layout: own.OwnLayout) -> FolderSet:
    """The set of a user's own clips of one kind."""
    protocols = (WINDOW,) if layout.kind == SOUND else FRAME_PROTOCOLS
    steps = _OWN_SOUND_STEPS if layout.kind == SOUND else _OWN_STEPS
    return replace(
        FOLDER_SETS[OWN],
        kind=layout.kind,
        find=functools.partial(own.list_own, layout=layout),
        classes=layout.classes or (),
        class_count=len(layout.classes) if layout.classes else None,
        protocols=protocols,
        steps=dict.fromkeys(protocols, steps),
    )


def get_folder_set(name: str) -> FolderSet:
    """Returns the set called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    require_known(name, FOLDER_SETS, "name", "there is no such set")
    return FOLDER_SETS[name]
