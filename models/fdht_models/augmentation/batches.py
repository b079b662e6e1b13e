"""A batch of training clips, changed at random; the same for one seed, epoch and clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fdht_models.augmentation.section import AugmentationSettings
from fdht_models.augmentation.sound_changes import by_frames, change_sounds
from fdht_models.augmentation.video_changes import change_picture
from fdht_models.preprocessing import Preprocessing

#: Numbers drawn for each clip, by what they are for. Every clip draws all of them, so that one
#: option changes nothing of what another one does. New ones are added at the end.
DRAWS = (
    "flip",
    "crop",
    "crop_row",
    "crop_column",
    "brightness",
    "shift",
    "time_warp",
    "bands",
    "level",
    "mask_time",
    "mask_time_place",
    "mask_bands",
    "mask_bands_place",
    "tilt",
)


@dataclass(frozen=True)
class Augmentation:
    """How clips of one kind are changed.

    Args:
        settings: what is changed, and how much.
        preprocessing: what the inputs are.
    """

    settings: AugmentationSettings
    preprocessing: Preprocessing

    def change(
        self, frames: NDArray[np.uint8], numbers: NDArray[np.int64], course: tuple[int, ...]
    ) -> NDArray[np.uint8]:
        """Changed copies of clips.

        Args:
            frames: uint8 [clips, steps, inputs].
            numbers: of the clips in their set, [clips]; what is drawn for a clip depends on its
                number and on `course`, and not on the other clips of the batch.
            course: phase, seed and epoch.

        Returns:
            uint8 [clips, steps, inputs].
        """
        settings, kind = self.settings, self.preprocessing
        generators = [np.random.default_rng([*course, int(number)]) for number in numbers]
        drawn = np.array([generator.random(len(DRAWS)) for generator in generators])
        draws = dict(zip(DRAWS, drawn.T, strict=True))
        lost = np.array([generator.random(frames.shape[1]) for generator in generators])
        if kind.picture is not None:
            changed = np.empty_like(frames, subok=False)
            for place, clip in enumerate(frames):
                own = {name: float(values[place]) for name, values in draws.items()}
                changed[place] = change_picture(clip, own, settings, kind.picture)
        elif kind.sound is not None:
            changed = change_sounds(frames, draws, generators, settings, kind.sound)
        else:
            changed = np.array(frames)
        # A network input of sound is several frames.
        steps = changed if kind.sound is None else by_frames(changed, kind.sound)
        move_in_time(steps, draws["shift"], settings.shift)
        changed[lost < settings.drop] = 0
        return changed


def move_in_time(frames: NDArray[np.uint8], drawn: NDArray[np.float64], most: int) -> None:
    """Cuts clips later or earlier, in place.

    What is left of a cut that begins too late or ends too early is shorter, and ends at the last
    step, zeros before it, as that of a short clip does.

    Args:
        frames: uint8 [clips, steps, inputs].
        drawn: from 0 to 1, [clips]; each of -most .. most steps is as likely. Above 0: so many
            steps are missing at the beginning; below: at the end.
        most: steps.
    """
    steps = frames.shape[1]
    for clip, missing in zip(frames, (drawn * (2 * most + 1)).astype(int) - most, strict=True):
        if missing < 0:
            clip[-missing:] = clip[: steps + missing].copy()
        clip[: abs(missing)] = 0
