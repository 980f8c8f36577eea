"""A bounded memory: what was used last stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hansa.node.recent import Recent


def test_what_was_unused_for_longest_gives_way() -> None:
    recent: Recent[bytes] = Recent(10, len)
    recent.put(b"a", b"aaaa")
    recent.put(b"b", b"bbbb")
    assert recent.get(b"a") == b"aaaa"
    recent.put(b"c", b"cccc")
    assert (recent.get(b"a"), recent.get(b"b"), recent.get(b"c")) == (b"aaaa", None, b"cccc")


def test_what_alone_exceeds_the_bound_is_not_kept() -> None:
    recent: Recent[bytes] = Recent(3, len)
    recent.put(b"a", b"aa")
    recent.put(b"b", b"bbbb")
    assert (recent.get(b"a"), recent.get(b"b")) == (b"aa", None)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.binary(max_size=9), st.sampled_from(["put", "get", "drop"]))))
def test_the_bound_holds_whatever_happens(steps: list[tuple[bytes, bytes, str]]) -> None:
    recent, last = Recent(12, len), dict[bytes, bytes]()
    for key, value, what in steps:
        match what:
            case "put":
                recent.put(key, value)
                last[key] = value
            case "drop":
                recent.drop(key)
                last.pop(key, None)
            case _:
                assert recent.get(key) in (None, last.get(key))
        kept = [found for key in last if (found := recent.get(key)) is not None]
        assert sum(map(len, kept)) <= 12
