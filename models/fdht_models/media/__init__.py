"""Video and sound files: one opener, one decoder, one way from a frame to pixels.

The host, the folders of data sets and the labels beside a video read files here, so that what a
board sees is what training saw. PyAV (FFmpeg) does the decoding and is imported late; nothing
here needs TensorFlow.

- `library`: PyAV itself, and the boundary at which whatever it raises becomes one failure.
- `opening`: a path becomes a container, opened as a file and never as an address.
- `structure`: whether a file ends before the end that its own structure states.
- `video`: the best stream's frames up to the first damage.
- `table`: what the packets of a video say without being decoded.
- `coding`: what coded pictures say of themselves and of those they depend on.
- `sparse`: some frames, without decoding what they do not depend on.
- `description`: what a file says of itself, in short.
- `stills`: one picture as RGB, exactly or not at all, and a folder of them as a clip.
- `pixels`: a frame as RGB, turned as its display matrix says, the same integers on every processor.
- `sound`: a recording as samples.
- `messages`: the words of the errors.
"""

from fdht_models.media.description import MediaInfo, describe_media
from fdht_models.media.pixels import PixelConverter, shown_size
from fdht_models.media.sound import open_sound
from fdht_models.media.sparse import decode_frames
from fdht_models.media.stills import list_pictures, read_picture
from fdht_models.media.table import FrameClock, clock_of
from fdht_models.media.video import Damage, VideoFile, VideoInfo

__all__ = [
    "Damage",
    "FrameClock",
    "MediaInfo",
    "PixelConverter",
    "VideoFile",
    "VideoInfo",
    "clock_of",
    "decode_frames",
    "describe_media",
    "list_pictures",
    "open_sound",
    "read_picture",
    "shown_size",
]
