"""VideoFrame ↔ Video.

Pure: no I/O, no clock. A frame's time is its packet's: `buffers` carries it over.
"""

from __future__ import annotations

from typing import Final

from engine.payloads import Video
from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.faults import as_input_error
from transports.rpc.conversion.memory import bytes_of
from transports.rpc.errors import InputError

_FORMATS: Final = {
    common_pb2.PIXEL_FORMAT_RGB24: "rgb24",
    common_pb2.PIXEL_FORMAT_RGBA32: "rgba32",
    common_pb2.PIXEL_FORMAT_YUV420P: "yuv420p",
    common_pb2.PIXEL_FORMAT_GRAY8: "gray8",
    common_pb2.PIXEL_FORMAT_I420: "i420",
    common_pb2.PIXEL_FORMAT_NV12: "nv12",
    common_pb2.PIXEL_FORMAT_ENCODED: "encoded",
}
_FORMAT_NUMBERS: Final = {name: number for number, name in _FORMATS.items()}
_CODECS: Final = {
    common_pb2.VIDEO_CODEC_UNSPECIFIED: "",
    common_pb2.VIDEO_CODEC_VP8: "vp8",
    common_pb2.VIDEO_CODEC_H264: "h264",
    common_pb2.VIDEO_CODEC_AV1: "av1",
}
_CODEC_NUMBERS: Final = {name: number for number, name in _CODECS.items()}


def video_from(frame: common_pb2.VideoFrame) -> Video:
    """The payload of a VideoFrame.

    Raises:
        InputError: width or height is 0, the size does not fit them, or there is no such format or
            codec.
    """
    codec = _CODECS.get(frame.codec)
    if codec is None:
        raise InputError(f"video: there is no codec {frame.codec}")
    number = frame.format
    if codec and number == common_pb2.PIXEL_FORMAT_UNSPECIFIED:
        number = common_pb2.PIXEL_FORMAT_ENCODED
    format_ = _FORMATS.get(number)
    if format_ is None:
        raise InputError(
            f"video: there is no pixel format {frame.format}; it must be one of"
            f" {', '.join(name.upper() for name in _FORMAT_NUMBERS)}"
        )
    if not frame.width or not frame.height:
        raise InputError(
            f"video: width and height must be at least 1, got {frame.width} × {frame.height}"
        )
    with as_input_error("video"):
        return Video(
            frame.pixel_data,
            format_,
            frame.width,
            frame.height,
            frame.frame_number,
            codec,
            frame.is_keyframe,
        )


def fill_video(frame: common_pb2.VideoFrame, payload: Video, timestamp_ns: int) -> None:
    """Write a payload into an empty VideoFrame.

    Args:
        frame: where to.
        payload: the frame.
        timestamp_ns: its media time.
    """
    frame.pixel_data = bytes_of(payload.pixels)
    frame.width = payload.width
    frame.height = payload.height
    frame.format = _FORMAT_NUMBERS[payload.format]
    frame.frame_number = payload.frame_number
    frame.timestamp_us = max(timestamp_ns, 0) // 1_000
    frame.codec = _CODEC_NUMBERS[payload.codec]
    frame.is_keyframe = payload.keyframe
