"""From files to what a network sees: one code for training, host, reference and report.

    from fdht_models.preprocessing import read_clip
    clip = read_clip(Path("film.mp4"), "film", network.preprocessing)
    logits = accelerator.infer(clip.values)

Needs numpy, and PyAV for video and sound; never TensorFlow.
"""

from fdht_models.preprocessing.clip_reading import read_clip
from fdht_models.preprocessing.definition import (
    ClipInputs,
    Picture,
    Preprocessing,
    Sampling,
    Sound,
    Spikes,
    Values,
    plain,
)

__all__ = [
    "ClipInputs",
    "Picture",
    "Preprocessing",
    "Sampling",
    "Sound",
    "Spikes",
    "Values",
    "plain",
    "read_clip",
]
