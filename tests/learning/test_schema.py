import pytest

from hansa.core.encoding import decode, encode
from hansa.core.errors import ConfigError, FormatError
from hansa.learning.schema import Categorical, Numeric, Schema, Tokens, word

FEATURES = (Numeric("age"), Categorical("pain", ("1", "2", "3")))


@pytest.mark.parametrize(
    ("cell", "expected"), [("4.0", "4"), (4, "4"), (" 4 ", "4"), (".7", "0.7"), ("yes", "yes"), ("1e300", "1e+300"), ("nan", "nan")]
)
def test_numbers_have_one_spelling(cell: object, expected: str) -> None:
    assert word(cell) == expected


def test_the_width_is_that_of_the_coded_features() -> None:
    schema = Schema(FEATURES, "ill", {"0": 0, "1": 1})
    assert schema.width == 3 and schema.columns == ("age", "pain", "ill")
    assert decode(encode(schema), Schema) == schema


@pytest.mark.parametrize(
    "make",
    [
        lambda: Schema((), "ill"),
        lambda: Schema((Numeric("age"), Numeric("age")), "ill"),
        lambda: Schema((Numeric("ill"),), "ill"),
        lambda: Schema(FEATURES, "ill", {"0": 0}),
        lambda: Schema(FEATURES, "ill", {"0": 0, "1": 0}),
        lambda: Schema(FEATURES, "ill", {"0": 0, "1": 2}),
        lambda: Schema(FEATURES, "ill", {"0": -1, "1": 0}),
        lambda: Schema(FEATURES, "ill", {"1": 0, "1.0": 1}),
        lambda: Schema(FEATURES, "ill", header=("age", "ill")),
        lambda: Schema(FEATURES, "ill", header=("age", "pain", "ill", "age")),
        lambda: Schema(FEATURES, "ill", missing=("-9",)),
        lambda: Categorical("pain", ("1",)),
        lambda: Categorical("pain", ("1", "1.0")),
        lambda: Numeric("age", 0),
        lambda: Schema(FEATURES),
        lambda: Schema((Tokens("play", 8), Numeric("age"))),
        lambda: Schema((Tokens("play", 8),), "ill"),
        lambda: Schema((Tokens("play", 8),), header=("play",)),
        lambda: Tokens("play", 0),
        lambda: Tokens("play", 1 << 14),
        lambda: Tokens("play", 8, -1),
    ],
)
def test_declarations_that_contradict_themselves_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]


def test_a_text_is_declared_alone() -> None:
    text = Schema((Tokens("play", 8),))
    assert (text.width, text.text, Schema(FEATURES, "ill").text) == (9, Tokens("play", 8), None)
    assert decode(encode(text), Schema) == text
    assert text.difference(text) is None and text.difference(Schema((Tokens("play", 9),))) == "play"


def test_unknown_kinds_and_fields_are_refused() -> None:
    for text in (b'{"features":[{"type":"text","name":"a"}],"label":"b"}', b'{"features":[],"label":"b","script":"x"}'):
        with pytest.raises(FormatError):
            decode(text, Schema)
