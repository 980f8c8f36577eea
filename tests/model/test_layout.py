import msgspec
import pytest

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError
from hansa.model.layout import MAX_SIZE, MAX_TENSORS, Layout, Tensor


def test_spans_follow_the_order_of_names_without_gaps() -> None:
    layout = Layout((Tensor("a", (2, 3)), Tensor("b", ()), Tensor("c", (4,))))
    assert layout.size == 11
    assert [(tensor.name, span.start, span.stop) for tensor, span in layout.spans()] == [("a", 0, 6), ("b", 6, 7), ("c", 7, 11)]


def test_digest_is_frozen_and_depends_on_every_part() -> None:
    layout = Layout((Tensor("bias", (1,)), Tensor("weight", (1, 13))))
    assert layout.digest().hex() == "2fcd46e52ee5b7ee443243e665c6c0868917fc2e91b074365ea175960fa6650b"
    others = [
        (Tensor("bias", (1,)), Tensor("weight", (13, 1))),
        (Tensor("bias", (1,)), Tensor("weights", (1, 13))),
        (Tensor("bias", (1,)),),
    ]
    assert len({layout.digest(), *(Layout(tensors).digest() for tensors in others)}) == 4


def test_json_brings_back_the_same_layout() -> None:
    layout = Layout((Tensor("a", (2, 3)), Tensor("b", (1,))))
    assert decode(encode(layout), Layout) == layout


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_unsorted_or_repeated_names_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(FormatError, match="ascending order"):
        Layout(tuple(Tensor(name, (1,)) for name in names))


@pytest.mark.parametrize(
    ("name", "shape"),
    [("", (1,)), ("x" * 129, (1,)), ("naïve", (1,)), ("a\nb", (1,)), ("a", (0,)), ("a", (-1,)), ("a", (1,) * 9), ("a", (MAX_SIZE + 1,))],
)
def test_tensors_out_of_bounds_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError):
        Tensor(name, shape)


def test_too_many_tensors_or_elements_are_refused() -> None:
    with pytest.raises(FormatError, match="1 to 4096 tensors"):
        Layout(())
    with pytest.raises(FormatError, match="1 to 4096 tensors"):
        Layout(tuple(Tensor(f"{i:05}", (1,)) for i in range(MAX_TENSORS + 1)))
    with pytest.raises(FormatError, match="exceeds the limit"):
        Layout((Tensor("a", (1 << 16, 1 << 15)), Tensor("b", (1,))))


@pytest.mark.parametrize(
    "text",
    [
        b'{"tensors":[]}',
        b'{"tensors":[{"name":"a","shape":[1],"dtype":"float64"}]}',
        b'{"tensors":[{"name":"a","shape":[1.5]}]}',
        b"[]",
        b'{"tensors":[{"name":"\xff","shape":[1]}]}',
    ],
)
def test_malformed_json_is_a_format_error(text: bytes) -> None:
    with pytest.raises(FormatError):
        decode(text, Layout)


def test_a_foreign_dtype_is_refused_when_made_in_code() -> None:
    with pytest.raises(FormatError, match="only float32"):
        msgspec.structs.replace(Tensor("a", (1,)), dtype="float16")
