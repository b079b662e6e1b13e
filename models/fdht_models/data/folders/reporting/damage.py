"""`check_clips`: every clip decoded from its first to its last frame, to find all damage."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from fdht_models.data.folders.decoding.shards import clip_reader, span_in_seconds
from fdht_models.data.folders.listing import SPIKES, VIDEO, Clip, Problem
from fdht_models.data.folders.request import FolderRequest
from fdht_models.errors import DataError
from fdht_models.preprocessing import ClipInputs
from fdht_models.preprocessing.video_clips import read_video
from fdht_models.threads import map_in_threads


def check_clips(
    request: FolderRequest, clips: Sequence[Clip], tick: Callable[[int], None]
) -> tuple[Problem, ...]:
    """Returns the clips that cannot be decoded, or not to their ends, and why.

    Args:
        request: completed.
        clips: which.
        tick: called with 1 for each clip done.

    Raises:
        DataError: a package is missing, or the folder's files cannot be opened.
    """
    made = request.preprocessing("test")
    with clip_reader(request, "test") as read:

        def one(clip: Clip) -> str:
            try:
                if request.folder_set.kind == VIDEO:
                    assert made.picture is not None
                    decoded: ClipInputs = read_video(
                        request.root / clip.path,
                        clip.key,
                        made.sampling,
                        made.picture,
                        span_in_seconds(clip),
                        check_all=True,
                    )
                else:
                    decoded = read(clip)
            except DataError as error:
                return error.problem
            return decoded.damage

        # A file of spikes is one, and its library is not for several threads.
        threads = 1 if request.folder_set.kind == SPIKES else os.cpu_count() or 1
        found = []
        for clip, why in zip(clips, map_in_threads(one, clips, threads), strict=True):
            tick(1)
            if why:
                found.append(Problem(clip.key, why))
        return tuple(found)
