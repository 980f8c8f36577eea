"""The folder of one node: its keys, passwords, salt and configuration, made once and never overwritten."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from hansa.core.config import save
from hansa.core.errors import ConfigError
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keys import AccountKey
from hansa.identity.keystore import SCRYPT_WORK, load_key, save_key, write_private
from hansa.node.config import ChainConfig, DataConfig, KeyConfig, ListenConfig, NodeConfig, RoleName, load_node

CONFIG = "node.toml"
KEYS = KeyConfig(keystore="account.json", password_file="password", transport="transport")


def make_key(folder: Path, *, work: int = SCRYPT_WORK) -> AccountKey:
    """The account key in `folder`, made with a random password in a file beside it (0600) when there is none yet."""
    password = folder / KEYS.password_file
    if (folder / KEYS.keystore).exists():
        return load_key(folder / KEYS.keystore, password.read_text().strip())
    key = AccountKey.generate()
    # The password first: a crash between the two leaves no key that cannot be opened.
    write_private(password, (secrets.token_urlsafe(24) + "\n").encode())
    save_key(folder / KEYS.keystore, key, password.read_text().strip(), work=work)
    return key


def make_home(
    folder: Path, name: str, role: RoleName, chain: ChainConfig, now: float, *, listen: ListenConfig,
    data: DataConfig | None = None, device: str = "cpu", standby: bool = False, work: int = SCRYPT_WORK,
) -> NodeConfig:  # fmt: skip
    """A new node: account key, transport certificate, salt of its data's digest, and the configuration that names them.

    `work` is scrypt's N; lower it only for keys that guard nothing. ConfigError when the folder holds a node already; what a crash
    left half-made is taken up again.
    """
    if (folder / CONFIG).exists():
        raise ConfigError(f"{folder} holds the node '{load_node(folder / CONFIG).name}' already; choose another name or home")
    if role == "trainer" and data is None:
        raise ConfigError("a trainer needs its data: name the file and the schema of its columns")
    key = make_key(folder, work=work)
    NodeCertificate.load_or_create(folder / KEYS.transport, key.address, now)
    if data is not None and not (folder / data.salt_file).exists():
        write_private(folder / data.salt_file, os.urandom(32))
    config = NodeConfig(name=name, role=role, chain=chain, key=KEYS, listen=listen, device=device, data=data, standby=standby)
    save(folder / CONFIG, config)
    return config
