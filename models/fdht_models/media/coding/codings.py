"""Which coding a stream is of."""

from __future__ import annotations

from fdht_models.media.coding.av1 import Av1
from fdht_models.media.coding.coded_picture import Inspector, Unproven
from fdht_models.media.coding.h264 import H264
from fdht_models.media.coding.hevc import Hevc
from fdht_models.media.coding.intra import Ffv1, Intra, MotionJpeg
from fdht_models.media.coding.mpeg import Mpeg4, Mpeg12
from fdht_models.media.coding.vpx import Vp8, Vp9

_INTRA = {"prores", "dnxhd", "v210", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "jpeg2000"}


def inspector_for(codec: str, extradata: bytes) -> Inspector:
    """Returns what looks at a stream's packets.

    Args:
        codec: FFmpeg's name of the coding.
        extradata: the parameters that the container keeps for the decoder; b"" without.

    Raises:
        Unproven: the coding is not known here, or its parameters are rare.
    """
    if codec in _INTRA:
        return Intra()
    if codec == "mjpeg":
        return MotionJpeg()
    if codec == "ffv1":
        return Ffv1()
    if codec == "h264":
        return H264(extradata)
    if codec == "hevc":
        return Hevc(extradata)
    if codec in ("mpeg1video", "mpeg2video"):
        return Mpeg12()
    if codec == "mpeg4":
        return Mpeg4()
    if codec == "vp8":
        return Vp8()
    if codec == "vp9":
        return Vp9()
    if codec == "av1":
        return Av1()
    raise Unproven(f"of {codec} nothing is known here")
