from pathlib import Path

import msgspec
import numpy as np
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from hansa.core.errors import DataError
from hansa.learning.data import read
from hansa.learning.examples import split
from hansa.learning.schema import Categorical, Numeric, Schema, Tokens

SCHEMA = Schema((Numeric("age"), Categorical("pain", ("1", "2", "3")), Numeric("dose")), "ill", {"no": 0, "yes": 1})
TABLE = "id,age,pain,dose,ill\n1,63.0,1,.7,no\n2, 28 ,2.0,1e-3,yes\n3,40,3,-5,yes\n"
FEATURES = [[63, 0, 0, 0.7], [28, 1, 0, 0.001], [40, 0, 1, -5]]


def csv(folder: Path, text: str) -> Path:
    path = folder / "site.csv"
    path.write_bytes(text.encode("latin-1"))
    return path


def test_a_text_is_cut_as_its_schema_says(tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_bytes(b"abcdefgh\xff")
    assert read(path, Schema((Tokens("play", 4),))).features.tolist() == [[97, 98, 99, 100, 101], [101, 102, 103, 104, 255]]
    assert len(read(path, Schema((Tokens("play", 4, stride=1),)))) == 5
    with pytest.raises(DataError, match="too short"):
        read(path, Schema((Tokens("play", 9),)))
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.txt", Schema((Tokens("play", 9),)))
    with pytest.raises(DataError, match="is a table"):
        read(csv(tmp_path, TABLE), Schema((Tokens("play", 9),)))


def test_a_table_is_coded_by_its_schema(tmp_path: Path) -> None:
    found = read(csv(tmp_path, TABLE), SCHEMA)
    assert found.features == pytest.approx(np.array(FEATURES, np.float32)) and found.labels.tolist() == [0, 1, 1]


def test_parquet_and_npz_give_the_same_rows(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "age": [63.0, 28.0, 40.0],
        "pain": [1, 2, 3],
        "dose": [0.7, 0.001, -5.0],
        "ill": ["no", "yes", "yes"],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "site.parquet")
    np.savez_compressed(tmp_path / "site.npz", **{name: np.array(values) for name, values in columns.items()})
    for name in ("site.parquet", "site.npz"):
        found = read(tmp_path / name, SCHEMA)
        assert found.features == pytest.approx(np.array(FEATURES, np.float32)) and found.labels.tolist() == [0, 1, 1]


def test_images_come_as_one_wide_column(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(tmp_path / "images.npz", image=images, digit=np.array([0, 1]))
    schema = Schema((Numeric("image", 12),), "digit", {"0": 0, "1": 1})
    assert read(tmp_path / "images.npz", schema).features.tolist() == images.reshape(2, 12).tolist()
    with pytest.raises(DataError, match="12 values a row, but the schema declares 13"):
        read(tmp_path / "images.npz", msgspec.structs.replace(schema, features=(Numeric("image", 13),)))
    with pytest.raises(DataError, match="one value a row"):
        read(tmp_path / "images.npz", Schema((Categorical("image", ("0", "1")),), "digit", {"0": 0, "1": 1}))


def test_a_file_without_header_line_takes_the_declared_names(tmp_path: Path) -> None:
    path = csv(tmp_path, TABLE.split("\n", 1)[1])
    schema = msgspec.structs.replace(SCHEMA, header=("id", "age", "pain", "dose", "ill"))
    assert read(path, schema).features == pytest.approx(np.array(FEATURES, np.float32))


def test_a_number_can_be_the_label(tmp_path: Path) -> None:
    schema = Schema((Numeric("age"),), "dose")
    found = read(csv(tmp_path, TABLE), schema)
    assert found.labels.dtype == np.float32 and found.labels.tolist() == pytest.approx([0.7, 0.001, -5])


def test_rows_with_absent_values_are_dropped_only_when_declared(tmp_path: Path) -> None:
    path = csv(tmp_path, TABLE + "4,?,1,1,no\n5,50,1,1,no\n6,51,1,,yes\n7,oops,1,1,no\n")
    with pytest.raises(DataError, match=r"column dose of site.csv has no value in row 6"):
        read(path, SCHEMA)
    with pytest.raises(DataError, match=r"column age of site.csv has no value in row 4"):
        read(path, msgspec.structs.replace(SCHEMA, missing=("?",)))
    dropping = msgspec.structs.replace(SCHEMA, missing=("?",), drop_missing=True)
    with pytest.raises(DataError, match="'oops' in row 7"):
        read(path, dropping)
    assert read(csv(tmp_path, TABLE + "4,?,1,1,no\n5,50,1,1,no\n"), dropping).features[:, 0].tolist() == [63, 28, 40, 50]


def test_one_class_is_allowed_only_when_declared(tmp_path: Path) -> None:
    path = csv(tmp_path, TABLE.replace("no", "yes"))
    with pytest.raises(DataError, match="class 1 only"):
        read(path, SCHEMA)
    assert read(path, msgspec.structs.replace(SCHEMA, allow_one_class=True)).labels.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not a CSV table"),
        ("age,pain,dose,ill\n", "no complete row"),
        (TABLE.replace("dose", "doze"), "no column 'dose'"),
        (TABLE.replace("63.0", "old"), "column age has 'old' in row 1, which is not a number"),
        (TABLE.replace("63.0", "nan"), "column age is not finite in row 1"),
        (TABLE.replace("28", "inf"), "column age is not finite in row 2"),
        (TABLE.replace("28", "1e39"), "column age is not finite in row 2"),
        (TABLE.replace("40,3", "40,4"), "column pain has '4' in row 3"),
        (TABLE.replace("yes\n3", "maybe\n3"), "column ill has 'maybe' in row 2"),
        (TABLE + "4,1\n", "not a CSV table"),
        (TABLE.replace("yes", "\xff\xfe"), "not a CSV table"),
    ],
)
def test_faults_of_the_data_get_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        read(csv(tmp_path, text), SCHEMA)
    assert "\n" not in str(caught.value)


def test_parquet_faults_get_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "site.parquet"
    path.write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="not a Parquet file"):
        read(path, SCHEMA)
    parquet.write_table(pyarrow.table({"age": [1.0, None], "dose": [1.0, float("nan")]}), path)
    with pytest.raises(DataError, match="no column 'pain'"):
        read(path, SCHEMA)
    with pytest.raises(DataError, match="column age of site.parquet has no value in row 2"):
        read(path, Schema((Numeric("age"),), "dose"))
    parquet.write_table(pyarrow.table({"age": [1.0, 2.0], "dose": [1.0, float("nan")]}), path)
    with pytest.raises(DataError, match="column dose is not finite in row 2"):
        read(path, Schema((Numeric("age"),), "dose"))


def test_npz_faults_get_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "site.npz"
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DataError, match="not an NPZ file"):
        read(path, SCHEMA)
    np.savez_compressed(path, age=np.arange(100), ill=np.arange(100))
    damaged = bytearray(path.read_bytes())
    damaged[80:120] = bytes(40)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="not an NPZ file"):
        read(path, Schema((Numeric("age"),), "ill"))
    path.write_bytes(b"neither")
    with pytest.raises(DataError, match="not an NPZ file"):
        read(path, SCHEMA)
    np.savez(path, age=np.array([1, 2]), ill=np.array([object(), object()]))
    with pytest.raises(DataError, match="not an NPZ file of plain arrays"):
        read(path, Schema((Numeric("age"),), "ill"))
    np.savez(path, age=np.array([1, 2, 3]), ill=np.array([1, 2]))
    with pytest.raises(DataError, match="does not match"):
        read(path, Schema((Numeric("age"),), "ill"))


def test_a_file_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    for ending in ("csv", "parquet", "npz"):
        with pytest.raises(DataError, match="cannot be read"):
            read(tmp_path / f"absent.{ending}", SCHEMA)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=st.text("0123456789.,\n?nayes ageilpdo", max_size=120), ending=st.sampled_from(["csv", "npz", "parquet"]))
def test_arbitrary_files_are_rows_or_a_data_error(tmp_path: Path, text: str, ending: str) -> None:
    path = tmp_path / f"fuzz.{ending}"
    path.write_text("age,pain,dose,ill\n" + text)
    try:
        assert np.isfinite(read(path, SCHEMA).features).all()
    except DataError as error:
        assert "\n" not in str(error)


def test_the_hospitals_of_fed_heart_disease(shared: Path) -> None:
    folder = shared / "data" / "heart_disease"
    if not folder.is_dir():
        pytest.skip("data set heart_disease not present (shared/data)")
    names = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num")
    coded = {"cp": Categorical("cp", ("1", "2", "3", "4")), "restecg": Categorical("restecg", ("0", "1", "2"))}
    schema = Schema(
        tuple(coded.get(name, Numeric(name)) for name in names[:10]),
        "num",
        {str(number): min(number, 1) for number in range(5)},
        header=names,
        missing=("?",),
        drop_missing=True,
    )
    parts = [split(read(folder / f"processed.{name}.data", schema), 0.66, 43) for name in ("cleveland", "hungarian", "switzerland", "va")]
    assert [(len(first), len(second)) for first, second in parts] == [(199, 104), (172, 89), (30, 16), (85, 45)]
    assert [(int(first.labels.sum()), int(second.labels.sum())) for first, second in parts] == [(91, 48), (65, 33), (30, 15), (66, 35)]
    assert parts[0][0].features.shape[1] == 13
