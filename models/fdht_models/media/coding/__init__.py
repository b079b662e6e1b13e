"""What coded pictures say of themselves in their first bytes, before they are decoded.

Key flags and time stamps of containers are often wrong. So a decoder may start in the middle, or
leave a picture out, only where the coded pictures themselves say that the others come out the same:
each coding here knows what its standard promises, and what FFmpeg's decoder makes of it. Anything
that is not known to be harmless makes a stream unproven, and then all of it is decoded.

- `coded_picture`: what is known of a picture, and what a coding must do.
- `bits`: reading bits and the NAL units of H.264 and H.265.
- `h264`, `hevc`, `mpeg`, `vpx_av1`, `intra`: the codings.
"""

from __future__ import annotations

from collections.abc import Callable

from fdht_models.media.coding.coded_picture import CodedPicture, Inspector, Unproven
from fdht_models.media.coding.h264 import H264
from fdht_models.media.coding.hevc import Hevc
from fdht_models.media.coding.intra import Ffv1, Intra, MotionJpeg
from fdht_models.media.coding.mpeg import Mpeg4, Mpeg12
from fdht_models.media.coding.vpx_av1 import Av1, Vp8, Vp9

__all__ = ["CodedPicture", "Inspector", "Unproven", "inspector_for"]

_INTRA = ("prores", "dnxhd", "v210", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "jpeg2000")
#: What looks at packets, by FFmpeg's name of the coding.
_INSPECTORS: dict[str, Callable[[], Inspector]] = {
    **dict.fromkeys(_INTRA, Intra),
    "mjpeg": MotionJpeg,
    "ffv1": Ffv1,
    "mpeg1video": Mpeg12,
    "mpeg2video": Mpeg12,
    "mpeg4": Mpeg4,
    "vp8": Vp8,
    "vp9": Vp9,
    "av1": Av1,
}
#: The same of codings whose parameters a container keeps.
_WITH_PARAMETERS: dict[str, Callable[[bytes], Inspector]] = {"h264": H264, "hevc": Hevc}


def inspector_for(codec: str, extradata: bytes) -> Inspector:
    """Returns what looks at a stream's packets.

    Args:
        codec: FFmpeg's name of the coding.
        extradata: the parameters that the container keeps for the decoder; b"" without.

    Raises:
        Unproven: the coding is not known here, or its parameters are rare.
    """
    if codec in _WITH_PARAMETERS:
        return _WITH_PARAMETERS[codec](extradata)
    if codec in _INSPECTORS:
        return _INSPECTORS[codec]()
    raise Unproven(f"of {codec} nothing is known here")
