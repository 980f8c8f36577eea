"""A site's own table or text, read from CSV, Parquet, NPZ or plain bytes by its declared schema; every fault gets one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from hansa.core.errors import DataError
from hansa.learning.examples import Examples
from hansa.learning.schema import Categorical, Numeric, Schema, Tokens, word
from hansa.learning.text import windows

Column = NDArray[Any]
"""Values of one column: numbers, or text as objects; shape (n,) in tables, (n, ...) in NPZ files."""

Places = NDArray[np.intp]
"""Row numbers in the file, from 1, of the rows that are kept; for messages."""


def read(path: Path, schema: Schema) -> Examples:
    """The rows of a .csv, .parquet or .npz file (other endings are read as CSV), or the windows of a text, in the schema's coding.

    DataError, naming column and row (from 1, without the header), when the file cannot be read, lacks a column, holds another type, an
    absent or non-finite value, an undeclared category, no row, or one class only.
    """
    try:
        if schema.text is not None:
            return windows(_bytes(path), schema.text.context, schema.text.stride or None)
        match path.suffix:
            case ".npz":
                table = _npz(path, schema)
            case ".parquet":
                table = _parquet(path, schema)
            case _:
                table = _csv(path, schema)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}") from error
    table, places = _complete(path, table, schema)
    rows = len(places)
    if not rows:
        raise DataError(f"{path.name} holds no complete row; a site needs at least one")
    features = np.empty((rows, schema.width), np.float32)
    start = 0
    for column in schema.features:
        block = features[:, start : start + column.width]
        block[...] = _one_hot(table, column, places) if isinstance(column, Categorical) else _numeric(table, column, places)
        start += column.width
    return Examples(features, _labels(path, table, schema, places))


def _bytes(path: Path) -> bytes:
    """DataError for a file that cannot be a text's: a table under a text's schema would be read as nonsense."""
    if path.suffix in (".csv", ".npz", ".parquet"):
        raise DataError(f"{path.name} is a table, but the schema declares a text; name a text file such as one in .txt")
    return path.read_bytes()


def _lacking(path: Path, schema: Schema, found: list[str]) -> None:
    for name in schema.columns:
        if name not in found:
            raise DataError(f"{path.name} has no column {name!r}; it has {', '.join(found[:20])}")


def _csv(path: Path, schema: Schema) -> dict[str, Column]:
    import pyarrow
    from pyarrow import csv

    names = list(schema.columns)
    reading = csv.ReadOptions(column_names=list(schema.header) or None)
    # All as text: a guessed type would turn "007" or "NA" into something else before the schema is asked.
    converting = csv.ConvertOptions(column_types={name: pyarrow.string() for name in names}, strings_can_be_null=False)
    try:
        table = csv.read_csv(path, read_options=reading, convert_options=converting)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path.name} is not a CSV table of this schema: {str(error).splitlines()[0]}") from error
    _lacking(path, schema, table.column_names)
    return {name: np.asarray(table[name].to_pylist(), object) for name in names}


def _parquet(path: Path, schema: Schema) -> dict[str, Column]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _lacking(path, schema, file.schema_arrow.names)
            table = file.read(columns=list(schema.columns))
    except pyarrow.ArrowException as error:
        raise DataError(f"{path.name} is not a Parquet file: {str(error).splitlines()[0]}") from error
    # Objects keep absent cells as None and integers exact, which a float column would not.
    return {name: np.asarray(table[name].to_pylist(), object) for name in schema.columns}


def _npz(path: Path, schema: Schema) -> dict[str, Column]:
    import zipfile
    import zlib

    try:
        # Opened here, because numpy leaves the file open when it turns out to be no archive.
        with path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as file:
            _lacking(path, schema, list(file))
            table = {name: file[name] for name in schema.columns}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path.name} is not an NPZ file of plain arrays: {str(error).splitlines()[0]}") from error
    for name, column in table.items():
        if column.shape[:1] != table[schema.label].shape[:1] or not column.shape:
            raise DataError(f"column {name} of {path.name} has shape {column.shape}, which does not match the {schema.label} column's")
    return table


def _complete(path: Path, table: dict[str, Column], schema: Schema) -> tuple[dict[str, Column], Places]:
    """The table without rows that have absent cells, and the others' places; DataError where the schema does not allow leaving any out."""
    marks = {"", *(text.strip() for text in schema.missing)}
    keep = np.ones(len(table[schema.label]), bool)
    for name, column in table.items():
        if column.dtype == object:
            absent = np.fromiter((cell is None or str(cell).strip() in marks for cell in column), bool, len(column))
            if absent.any() and not schema.drop_missing:
                row = int(absent.argmax()) + 1
                raise DataError(f"column {name} of {path.name} has no value in row {row}; remove such rows or declare drop_missing")
            keep &= ~absent
    return {name: column[keep] for name, column in table.items()}, np.flatnonzero(keep) + 1


def _floats(name: str, column: Column, places: Places) -> NDArray[np.float32]:
    """The column as finite float32 numbers."""
    try:
        numbers = column.astype(np.float64)
    except (TypeError, ValueError):
        for row, cell in zip(places, column.reshape(len(column), -1), strict=True):
            try:
                cell.astype(np.float64)
            except (TypeError, ValueError):
                raise DataError(f"column {name} has {str(cell[0])[:40]!r} in row {row}, which is not a number") from None
        raise
    with np.errstate(over="ignore"):
        values = numbers.astype(np.float32)
    wrong = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if wrong.any():
        raise DataError(f"column {name} is not finite in row {places[wrong.argmax()]}; remove or impute such values")
    return values


def _numeric(table: dict[str, Column], column: Numeric | Tokens, places: Places) -> NDArray[np.float32]:
    values = _floats(column.name, table[column.name], places)
    if values[0].size != column.width:
        raise DataError(f"column {column.name} has {values[0].size} values a row, but the schema declares {column.width}")
    return values.reshape(len(values), column.width)


def _codes(name: str, column: Column, numbers: dict[str, int], places: Places) -> NDArray[np.int64]:
    """Each cell's number in a declared list of words."""
    if column.ndim != 1:
        raise DataError(f"column {name} has shape {column.shape}; a categorical column or label has one value a row")
    codes = np.empty(len(column), np.int64)
    for row, cell in enumerate(column):
        code = numbers.get(word(cell))
        if code is None:
            raise DataError(
                f"column {name} has {str(cell)[:40]!r} in row {places[row]}; the schema declares {', '.join(list(numbers)[:20])}"
            )
        codes[row] = code
    return codes


def _one_hot(table: dict[str, Column], column: Categorical, places: Places) -> NDArray[np.float32]:
    codes = _codes(column.name, table[column.name], {word(text): number for number, text in enumerate(column.categories)}, places)
    return np.eye(len(column.categories), dtype=np.float32)[codes, 1:]


def _labels(path: Path, table: dict[str, Column], schema: Schema, places: Places) -> NDArray[np.int64] | NDArray[np.float32]:
    if not schema.classes:
        values = _floats(schema.label, table[schema.label], places)
        if values.ndim != 1:
            raise DataError(f"the label {schema.label} has shape {values.shape}; it must be one number a row")
        return values
    labels = _codes(schema.label, table[schema.label], {word(text): number for text, number in schema.classes.items()}, places)
    if not schema.allow_one_class and (labels == labels[0]).all():
        raise DataError(
            f"{path.name} holds class {labels[0]} only, from which nothing can be learnt; declare allow_one_class to train on it"
        )
    return labels
