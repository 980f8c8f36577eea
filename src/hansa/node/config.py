"""A node's own configuration file: who it is, which chain it follows, where it listens, and, for a trainer, where its rows are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from hansa.core.config import load
from hansa.core.errors import ConfigError
from hansa.learning.schema import Schema

RoleName = Literal["trainer", "coordinator", "verifier", "client"]


class ChainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """JSON-RPC endpoints in order of preference, and the deployment file that pins chain id, genesis and addresses."""

    endpoints: tuple[str, ...]
    deployment: str


class KeyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keystore (v3) of the account's key, a file that holds its password, and the folder of transport key and certificate."""

    keystore: str
    password_file: str
    transport: str


class ListenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 0


class DataConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site's own rows: a CSV, NPZ or Parquet file, its schema, and the file with the 32-byte salt of its digest (R17).

    `disclose_rows` lets the number of rows be the weight of the site's updates where a job allows weights; without it the weight is 1 (R9).
    """

    path: str
    data_schema: Schema = msgspec.field(name="schema")
    salt_file: str = "salt"
    disclose_rows: bool = False


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node. Relative paths are relative to the file's folder, where the node's state lives too.

    `auto_enrol`: take a seat in every job that fits; a `standby` coordinator does so only behind another one.
    """

    name: str
    role: RoleName
    chain: ChainConfig
    key: KeyConfig
    listen: ListenConfig = ListenConfig()
    device: str = "cpu"
    data: DataConfig | None = None
    auto_enrol: bool = True
    standby: bool = False


def load_node(path: Path) -> NodeConfig:
    """The configuration in `path`; ConfigError names the file, the field and what it must be."""
    loaded = load(path, NodeConfig)
    if loaded.role == "trainer" and loaded.data is None:
        raise ConfigError(f"{path}: a trainer needs a [data] table that names its file and schema")
    if not loaded.chain.endpoints:
        raise ConfigError(f"{path}: [chain] names no endpoint; give at least one")
    return loaded
