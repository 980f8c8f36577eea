"""Names of blobs: the vectors that IPFS's own importer gave, and trees taken from strangers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.core.types import BlobRef
from hansa.storage import unixfs
from hansa.storage.unixfs import DAG_PB, LEAF, RAW, Link

P = bytes((i * 7919 >> 3) & 255 for i in range(65536))

VECTORS = {
    "empty": (b"", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    "a": (b"a", "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm"),
    "one leaf": (P * 16, "bafkreici7oraexeaa7hrofxcdlfsfufwfxm4t43ffemr7njgjne4uus52m"),
    "one leaf and a byte": (P * 16 + b"t", "bafybeihfhwfk2zmqtnlz7mavhdtgwox6vlamkhfpftmfcqxc7fkq257fou"),
    "six leaves": (P * 80 + b"tail", "bafybeiblmvfekfq3n4xf5fjegdvz57zikajbl7swfinchumjeb5gesqsxe"),
}

NODE = bytes.fromhex(
    "122c0a240155122048fba2025c8007cf1716e21acb22d0b62dd9c9f36529191fb5264b49ca525dd31200188080"
    "40122a0a2401551220e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd812001801"
    "0a0c080218818040208080402001"
)
"""The root block of "one leaf and a byte"."""


def links_of(data: bytes) -> list[Link]:
    pieces = [data[first : first + LEAF] for first in range(0, len(data), LEAF)]
    return [Link(RAW, hashlib.sha256(piece).digest(), len(piece), len(piece)) for piece in pieces]


@pytest.mark.parametrize("name", VECTORS)
def test_names_are_those_of_ipfs(name: str, tmp_path: Path) -> None:
    data, cid = VECTORS[name]
    ref = unixfs.root(data)
    assert unixfs.text(ref) == cid
    assert unixfs.parse_text(cid, len(data)) == ref
    path = tmp_path / "file"
    path.write_bytes(data)
    assert unixfs.root_of_file(path) == ref


def test_three_levels_with_a_single_last_child() -> None:
    root = unixfs.tree(links_of(VECTORS["six leaves"][0]), width=2)
    assert unixfs.text(BlobRef(root.digest, root.size)) == "bafybeigruzyvwmoey4novrljwwvjufjjyhaoog5gtjzae7wpqasigmrlvy"


def test_the_root_block_is_exact_and_read_back() -> None:
    links = links_of(P * 16 + b"t")
    assert unixfs.encode_node(links) == NODE
    assert unixfs.parse_node(NODE) == links
    assert unixfs.node(links) == Link(DAG_PB, hashlib.sha256(NODE).digest(), LEAF + 1, 1_048_681)


def test_a_small_blob_is_named_by_its_sha256() -> None:
    assert unixfs.root(b"a").digest == hashlib.sha256(b"a").digest() == unixfs.outline(b"a")


@given(
    st.lists(
        st.tuples(st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32), st.integers(0, 2**50), st.integers(0, 2**50)),
        min_size=1,
        max_size=20,
    )
)
def test_nodes_are_read_back(fields: list[tuple[int, bytes, int, int]]) -> None:
    links = [Link(*field) for field in fields]
    assert unixfs.parse_node(unixfs.encode_node(links)) == links


@settings(max_examples=300)
@given(st.integers(0, len(NODE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_says_something_else(place: int, change: int) -> None:
    block = bytearray(NODE)
    block[place] ^= change
    try:
        links = unixfs.parse_node(bytes(block))
    except FormatError:
        return
    assert unixfs.encode_node(links) == block and links != unixfs.parse_node(NODE)


@given(st.binary(max_size=120))
def test_any_bytes_are_links_or_a_format_error(block: bytes) -> None:
    try:
        assert unixfs.encode_node(unixfs.parse_node(block)) == block
    except FormatError:
        pass


@pytest.mark.parametrize("cut", range(1, len(NODE), 7))
def test_a_node_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(FormatError):
        unixfs.parse_node(NODE[:cut])


def test_nodes_over_the_bounds_are_refused() -> None:
    link = links_of(b"a")[0]
    with pytest.raises(FormatError, match="more than 1024 links"):
        unixfs.parse_node(unixfs.encode_node([link] * 1025))
    with pytest.raises(FormatError, match="exceeds"):
        unixfs.parse_node(bytes(unixfs.MAX_NODE + 1))
    assert len(unixfs.parse_node(unixfs.encode_node([link] * 1024))) == 1024


def test_a_full_node_of_full_leaves_has_fifty_bytes_a_leaf() -> None:
    link = Link(RAW, bytes(32), LEAF, LEAF)
    assert 50 * 1024 <= len(unixfs.encode_node([link] * 1024)) <= 50 * 1024 + 20


@pytest.mark.parametrize("size", [-1, unixfs.MAX_SIZE + 1, 1 << 70])
def test_impossible_sizes_are_refused_before_anything_is_made_for_them(size: int) -> None:
    with pytest.raises(FormatError, match="cannot be"):
        unixfs.leaf_count(size)
    with pytest.raises(FormatError, match="cannot be"):
        unixfs.name_of(b"", size)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_outline_must_fit_the_size(length: int) -> None:
    with pytest.raises(FormatError, match="does not fit"):
        unixfs.name_of(bytes(length), 100)


@pytest.mark.parametrize(
    "cid",
    [
        "",
        "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixM",
        "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273six1",
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        "zafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm",
        VECTORS["six leaves"][1],
        "b" + "a" * 58,
        "bäfkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm",
    ],
)
def test_other_spellings_and_kinds_of_cid_are_refused(cid: str) -> None:
    with pytest.raises(FormatError, match="is not the CID"):
        unixfs.parse_text(cid, 1)
