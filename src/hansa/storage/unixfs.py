"""Blob names that IPFS tools compute too: sha2-256, 1 MiB raw leaves, balanced dag-pb nodes of at most 1024 links, CIDv1.

The profile "unixfs-v1-2025". Size and leaf digests decide the whole tree, so a list of leaf digests proves itself against the root.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hansa.core.errors import FormatError
from hansa.core.types import BlobRef

LEAF = 1 << 20
WIDTH = 1024
MAX_SIZE = LEAF * WIDTH * WIDTH
"""1 TiB: two levels of nodes. Larger sizes are refused before anything is allocated for them."""

MAX_NODE = 2 << 20
"""Bytes of a dag-pb node taken from others, the limit of IPFS tools."""

RAW = 0x55
DAG_PB = 0x70
_DIGEST = 32
_MULTIHASH = bytes((0x12, _DIGEST))


class Link(NamedTuple):
    """A subtree as its parent sees it: codec and digest of its block, file bytes below, file bytes plus encoded nodes below."""

    codec: int
    digest: bytes
    size: int
    total: int


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _cid(codec: int, digest: bytes) -> bytes:
    return b"\x01" + _varint(codec) + _MULTIHASH + digest


def encode_node(children: Sequence[Link]) -> bytes:
    """The dag-pb block over `children`: links first, then the UnixFS file message, as the hash demands."""
    out = bytearray()
    for child in children:
        cid = _cid(child.codec, child.digest)
        link = b"\x0a" + _varint(len(cid)) + cid + b"\x12\x00\x18" + _varint(child.total)
        out += b"\x12" + _varint(len(link)) + link
    file = b"\x08\x02\x18" + _varint(sum(child.size for child in children))
    file += b"".join(b"\x20" + _varint(child.size) for child in children)
    return bytes(out + b"\x0a" + _varint(len(file)) + file)


def node(children: Sequence[Link]) -> Link:
    """The link to the node over `children`."""
    block = encode_node(children)
    return Link(DAG_PB, hashlib.sha256(block).digest(), sum(c.size for c in children), sum(c.total for c in children) + len(block))


def tree(leaves: Sequence[Link], width: int = WIDTH) -> Link:
    """The root over leaves in order; a single leaf is its own root, a last group of one is still wrapped in a node."""
    level = list(leaves)
    while len(level) > 1:
        level = [node(level[first : first + width]) for first in range(0, len(level), width)]
    return level[0]


def root(data: bytes | memoryview) -> BlobRef:
    """The name of a blob held in memory."""
    return name_of(outline(data), len(data))


def outline(data: bytes | memoryview) -> bytes:
    """The sha256 of each leaf of the blob, one after another: ceil(size / 1 MiB) times 32 bytes, once 32 for an empty one."""
    view = memoryview(data).cast("B")
    return b"".join(hashlib.sha256(view[first : first + LEAF]).digest() for first in range(0, max(len(view), 1), LEAF))


def outline_of_file(path: Path) -> tuple[bytes, int]:
    """Outline and size of a file, read leaf by leaf."""
    digests, size = bytearray(), 0
    with path.open("rb") as file:
        while (piece := file.read(LEAF)) or not digests:
            digests += hashlib.sha256(piece).digest()
            size += len(piece)
    return bytes(digests), size


def root_of_file(path: Path) -> BlobRef:
    """The name of a file's content, read leaf by leaf."""
    return name_of(*outline_of_file(path))


def leaf_count(size: int) -> int:
    """Leaves of a blob of `size` bytes; FormatError outside 0 .. 1 TiB."""
    if not 0 <= size <= MAX_SIZE:
        raise FormatError(f"a blob of {size} bytes cannot be: sizes go from 0 to {MAX_SIZE}")
    return max(-(-size // LEAF), 1)


def name_of(digests: bytes, size: int) -> BlobRef:
    """The name that an outline and a size decide; FormatError when the outline has the wrong length for the size."""
    count = leaf_count(size)
    if len(digests) != count * _DIGEST:
        raise FormatError(f"an outline of {len(digests)} bytes does not fit a blob of {size} bytes, which has {count} leaves of 32")
    links = []
    for place in range(count):
        length = min(LEAF, size - place * LEAF)
        links.append(Link(RAW, digests[place * _DIGEST : (place + 1) * _DIGEST], length, length))
    return BlobRef(tree(links).digest, size)


def codec(ref: BlobRef) -> int:
    """The size decides: one leaf is raw, more are dag-pb."""
    return RAW if ref.size <= LEAF else DAG_PB


def text(ref: BlobRef) -> str:
    """The blob's CID as people and IPFS tools write it."""
    return text_of(codec(ref), ref.digest)


def text_of(codec: int, digest: bytes) -> str:
    """The CID of one block: "b" and base32 in lower case."""
    return "b" + base64.b32encode(_cid(codec, digest)).decode().lower().rstrip("=")


def parse_text(cid: str, size: int) -> BlobRef:
    """The blob of `size` bytes that a CID names; FormatError for another kind of CID or a codec that the size contradicts."""
    ref = None
    if cid.startswith("b") and len(cid) == 59:
        with contextlib.suppress(binascii.Error, ValueError):
            ref = BlobRef(base64.b32decode(cid[1:].upper() + "=" * 6)[-_DIGEST:], size)
    leaf_count(size)
    # Writing the name again and comparing refuses every other spelling, version, hash and codec at once.
    if ref is None or text(ref) != cid:
        raise FormatError(f"{cid[:80]!r} is not the CID (version 1, base32, sha2-256) of a blob of {size} bytes")
    return ref


def parse_node(block: bytes) -> list[Link]:
    """The links of a dag-pb file node taken from others; FormatError unless it is exactly what `encode_node` writes for them."""
    if len(block) > MAX_NODE:
        raise FormatError(f"a node of {len(block)} bytes exceeds {MAX_NODE}")
    cids: list[bytes] = []
    totals: list[int] = []
    sizes: list[int] = []
    data = memoryview(block)
    while data and data[0] == 0x12:
        link, data = _field(data[1:])
        cid, link = _field(link[1:])
        cids.append(bytes(cid))
        totals.append(_read_varint(link[3:])[0])
        if len(cids) > WIDTH:
            raise FormatError(f"a node has more than {WIDTH} links")
    file, _ = _field(data[1:])
    _, file = _read_varint(file[3:])
    while file and len(sizes) < len(cids):
        size, file = _read_varint(file[1:])
        sizes.append(size)
    links = [Link(_codec_of(cid), cid[-_DIGEST:], size, total) for cid, size, total in zip(cids, sizes, totals, strict=False)]
    if not links or len(sizes) != len(cids) or encode_node(links) != block:
        raise FormatError("a node is not the canonical encoding of a file's links")
    return links


def _codec_of(cid: bytes) -> int:
    for known in (RAW, DAG_PB):
        if cid[:-_DIGEST] == _cid(known, b""):
            return known
    raise FormatError("a node links to a block that is neither raw nor dag-pb under sha2-256")


def _field(data: memoryview) -> tuple[memoryview, memoryview]:
    """A length-delimited value and what follows it."""
    length, rest = _read_varint(data)
    if length > len(rest):
        raise FormatError(f"a node announces {length} bytes where {len(rest)} are left")
    return rest[:length], rest[length:]


def _read_varint(data: memoryview) -> tuple[int, memoryview]:
    number = 0
    for place, byte in enumerate(data[:9]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, data[place + 1 :]
    raise FormatError("a node ends in the middle of a number or holds one over 63 bits")
