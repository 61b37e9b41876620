"""Compression of bodies and results, with a limit on what comes out.

Source: PROTOCOL 5; kombu/compression.py (names, aliases, formats).
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

from tq.errors import DecodeError, EncodeError
from tq.saferepr import saferepr
from tq.wire.limits import LIMITS

__all__ = ["COMPRESSIONS", "compress", "decompress"]

COMPRESSIONS = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bzip2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
    "brotli": "application/x-brotli",
    "zstd": "application/zstd",
    "zstandard": "application/zstd",
}
# Enough for a preset-9 stream; a forged header could ask for gigabytes.
_LZMA_MEMORY_BYTES = 128 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


def compress(data: bytes, name: str) -> tuple[str, bytes]:
    """Compress a body.

    Args:
        data: The serialized body.
        name: A name (`gzip`, `bzip2`, `lzma`, `brotli`, `zstd`), an alias, or a MIME type.

    Returns:
        The MIME type for the `compression` header, and the compressed bytes.

    Raises:
        EncodeError: An unknown name, or its library is not installed.
    """
    mime = COMPRESSIONS.get(name, name)
    pack = _COMPRESSORS.get(mime)
    if pack is None:
        raise EncodeError(f"unknown compression {name!r}; known: {', '.join(COMPRESSIONS)}")
    try:
        return mime, pack(data)
    except ImportError as exc:
        raise EncodeError(f"compression {name!r} needs a library: {exc}") from exc


def decompress(data: bytes, name: str, limit: int = LIMITS.inflated) -> bytes:
    """Decompress a body, giving up as soon as more than `limit` bytes come out.

    Raises:
        DecodeError: `unknown_compression`, `bad_compression` or `too_large`.
    """
    mime = COMPRESSIONS.get(name, name) if isinstance(name, str) else None
    unpack = _DECOMPRESSORS.get(mime) if mime else None
    if unpack is None:
        shown = saferepr(name, 100)
        raise DecodeError(f"unknown compression {shown}", reason="unknown_compression", raw=data)
    try:
        inflated, complete = unpack(data, limit + 1)
    except ImportError as exc:
        raise DecodeError(
            f"compression {mime} needs a library: {exc}", reason="unknown_compression", raw=data
        ) from exc
    # Each library has its own error class, some only found after importing it.
    except Exception as exc:
        raise DecodeError(f"not {mime}: {exc}", reason="bad_compression", raw=data) from exc
    if len(inflated) > limit:
        raise DecodeError(f"inflates to over {limit} bytes", reason="too_large", raw=data)
    if not complete:
        raise DecodeError(f"{mime} data is cut off", reason="bad_compression", raw=data)
    return inflated


def _inflate(data: bytes, limit: int) -> tuple[bytes, bool]:
    # 47: a zlib stream, which is what Celery means by gzip, or a real gzip file.
    stream = zlib.decompressobj(wbits=47)
    inflated = stream.decompress(data, limit)
    return inflated, stream.eof


def _bunzip(data: bytes, limit: int) -> tuple[bytes, bool]:
    stream = bz2.BZ2Decompressor()
    return stream.decompress(data, limit), stream.eof


def _unxz(data: bytes, limit: int) -> tuple[bytes, bool]:
    stream = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)
    return stream.decompress(data, limit), stream.eof


def _read_stream(read: Callable[[int], bytes], limit: int) -> bytes:
    """Read until the end or until `limit` bytes came."""
    chunks, size = [], 0
    while size < limit and (chunk := read(min(_CHUNK_BYTES, limit - size))):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _unzstd(data: bytes, limit: int) -> tuple[bytes, bool]:
    zstandard = _zstandard()
    frame_size = zstandard.frame_content_size(data)
    stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data)
    inflated = _read_stream(stream.read, limit)
    # The reader ends silently where the data does; only a size in the frame's head shows a cut.
    return inflated, frame_size < 0 or len(inflated) >= min(frame_size, limit)


def _unbrotli(data: bytes, limit: int) -> tuple[bytes, bool]:
    stream = _brotli().Decompressor()
    chunks, size, rest = [], 0, data
    while size < limit:
        chunk = stream.process(rest, output_buffer_limit=_CHUNK_BYTES)
        rest = b""
        if not chunk and (stream.is_finished() or stream.can_accept_more_data()):
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks), stream.is_finished()


def _zstandard() -> Any:
    import zstandard  # noqa: PLC0415, RUF100 - an extra that few install

    return zstandard


def _brotli() -> Any:
    import brotli  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415, RUF100 - an extra that few install

    return brotli


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "application/x-gzip": zlib.compress,
    "application/x-bz2": bz2.compress,
    "application/x-lzma": lzma.compress,
    "application/x-brotli": lambda data: _brotli().compress(data),
    "application/zstd": lambda data: _zstandard().ZstdCompressor().compress(data),
}
_DECOMPRESSORS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "application/x-gzip": _inflate,
    "application/x-bz2": _bunzip,
    "application/x-lzma": _unxz,
    "application/x-brotli": _unbrotli,
    "application/zstd": _unzstd,
}
