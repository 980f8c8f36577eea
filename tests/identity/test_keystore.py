from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from eth_account import Account

from hansa.core.errors import IdentityError
from hansa.identity.keys import AccountKey
from hansa.identity.keystore import SCRYPT_WORK, load_key, save_key, write_private

WORK = 2
KEY = AccountKey(b"\x11" * 32)


def test_a_key_comes_back_with_its_password(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "owner.json"
    save_key(path, KEY, "correct horse ü", work=WORK)
    assert load_key(path, "correct horse ü").address == KEY.address
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"1111111111" not in path.read_bytes()


def test_a_wrong_password_is_one_sentence(tmp_path: Path) -> None:
    save_key(tmp_path / "key", KEY, "right", work=WORK)
    with pytest.raises(IdentityError, match="the password is wrong$") as caught:
        load_key(tmp_path / "key", "wrong")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_file_is_that_of_wallets(tmp_path: Path) -> None:
    save_key(tmp_path / "ours", KEY, "password", work=WORK)
    assert bytes(Account.decrypt((tmp_path / "ours").read_text(), "password")) == KEY.secret()
    (tmp_path / "theirs").write_text(json.dumps(Account.encrypt(KEY.secret(), "password", kdf="pbkdf2", iterations=10)))
    assert load_key(tmp_path / "theirs", "password").address == KEY.address


@pytest.mark.slow
def test_the_default_work_is_that_of_wallets(tmp_path: Path) -> None:
    save_key(tmp_path / "key", KEY, "password")
    assert json.loads((tmp_path / "key").read_text())["crypto"]["kdfparams"]["n"] == SCRYPT_WORK == 262144


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="cannot read the key file .*absent"):
        load_key(tmp_path / "absent", "password")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version": 4, "crypto": {}}', b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(IdentityError):
        load_key(tmp_path / "key", "password")


@pytest.mark.parametrize(("name", "value"), [("n", 1 << 40), ("dklen", 1 << 30)])
def test_a_planted_file_cannot_name_a_ruinous_cost(tmp_path: Path, name: str, value: int) -> None:
    save_key(tmp_path / "key", KEY, "password", work=WORK)
    record = json.loads((tmp_path / "key").read_text())
    record["crypto"]["kdfparams"][name] = value
    (tmp_path / "key").write_text(json.dumps(record))
    with pytest.raises(IdentityError, match="work factor"):
        load_key(tmp_path / "key", "password")


def test_damaged_fields_are_one_sentence(tmp_path: Path) -> None:
    save_key(tmp_path / "key", KEY, "password", work=WORK)
    whole = json.loads((tmp_path / "key").read_text())
    for field in ("ciphertext", "mac", "kdf", "cipherparams"):
        record = json.loads(json.dumps(whole))
        del record["crypto"][field]
        (tmp_path / "key").write_text(json.dumps(record))
        with pytest.raises(IdentityError, match="it is damaged"):
            load_key(tmp_path / "key", "password")


def test_writing_replaces_a_file_and_tightens_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    write_private(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["secret"]
