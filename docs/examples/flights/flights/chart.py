"""Bar chart as a PNG image: a header, compressed rows of pixels, and checksums."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

WHITE, BLUE = b"\xff\xff\xff", b"\x1f\x6f\xb4"


def bars(values: Sequence[float], *, width: int = 16, gap: int = 6, height: int = 120) -> bytes:
    """Draw one bar per value; the highest bar fills the height of the image.

    Args:
        values: Values of the bars; none is negative, and at least one is positive.
        width: Width of a bar in pixels.
        gap: Distance of two bars in pixels.
        height: Height of the image in pixels.

    Returns:
        The bytes of a PNG file.
    """
    tops = [height - round(height * value / max(values)) for value in values]
    rows = [
        b"\0" + b"".join((BLUE if y >= top else WHITE) * width + WHITE * gap for top in tops)
        for y in range(height)
    ]
    header = struct.pack(">IIBBBBB", len(values) * (width + gap), height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
