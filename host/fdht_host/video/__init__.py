"""Video files: read frame by frame, resized and turned into the core's input; written lossless.

Files are opened, decoded and turned into pixels by `fdht_models.media`, as in training. A video is
never held in memory: `decode` is an iterator over frames. Videos that this project writes are FFV1
in Matroska, which returns every RGB value exactly; next to such a file lies
`<file>.labels.json`, which says where its clips begin and what they show.
"""

from fdht_host.video.decoding import VideoTimes, decode, features, frame_pairs, probe
from fdht_host.video.encoding import encode, encode_clips
from fdht_host.video.labels import Clip, VideoLabels, read_labels
from fdht_models.media import VideoInfo

__all__ = [
    "Clip",
    "VideoInfo",
    "VideoLabels",
    "VideoTimes",
    "decode",
    "encode",
    "encode_clips",
    "features",
    "frame_pairs",
    "probe",
    "read_labels",
]
