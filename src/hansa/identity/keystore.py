"""Encrypted key files (Web3 Secret Storage, version 3): what every Ethereum wallet reads, readable by their owner alone."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

import msgspec
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json

from hansa.core.errors import IdentityError
from hansa.identity.keys import AccountKey

SCRYPT_WORK = 1 << 18
"""scrypt's N as wallets choose it: 256 MiB and about a second for each guess at a password."""

_MAX_FILE = 1 << 16
_MAX_WORK = 1 << 22


class _KeyDerivation(msgspec.Struct):
    n: int = 0
    c: int = 0
    dklen: int = 32


class _Crypto(msgspec.Struct):
    kdfparams: _KeyDerivation


class _KeyFile(msgspec.Struct):
    version: int
    crypto: _Crypto


def write_private(path: Path, data: bytes) -> None:
    """Replace `path` atomically by a file of mode 0600; a crash leaves the old file or the new one, never half of either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def save_key(path: Path, key: AccountKey, password: str, *, work: int = SCRYPT_WORK) -> None:
    """Encrypt `key` under `password` into `path`; `work` is scrypt's N, a power of two, lower only where guessing is no danger."""
    record = create_keyfile_json(key.secret(), password.encode(), kdf="scrypt", iterations=work)
    write_private(path, json.dumps(record).encode())


def load_key(path: Path, password: str) -> AccountKey:
    """The key in `path`; IdentityError when the file is missing, is no version 3 keystore, or the password is wrong."""
    try:
        if path.stat().st_size > _MAX_FILE:
            raise IdentityError(f"{path} is too large to be a key file")
        data = path.read_bytes()
    except OSError as error:
        raise IdentityError(f"cannot read the key file {path}: {error.strerror}") from error
    try:
        header = msgspec.json.decode(data, type=_KeyFile)
    except msgspec.DecodeError as error:
        raise IdentityError(f"{path} is not a key file that wallets write (Web3 Secret Storage, version 3)") from error
    parameters = header.crypto.kdfparams
    # The file names its own cost: bounded here, so that a planted file cannot take all memory or hold the node for hours.
    if header.version != 3 or parameters.n > _MAX_WORK or parameters.c > 100 * _MAX_WORK or parameters.dklen != 32:
        raise IdentityError(f"{path} is not a version 3 key file with an acceptable work factor")
    try:
        return AccountKey(decode_keyfile_json(json.loads(data), password.encode()))
    except (ValueError, KeyError, TypeError) as error:
        # eth_keyfile's error is not chained: it names derived values in some versions.
        message = "the password is wrong" if "MAC mismatch" in str(error) else "it is damaged"
        raise IdentityError(f"cannot open the key file {path}: {message}") from None
