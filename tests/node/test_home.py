"""A node's home: made once, completed after a crash, readable by its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hansa.core.errors import ConfigError
from hansa.identity.certificate import NodeCertificate
from hansa.identity.keystore import load_key
from hansa.learning.schema import Numeric, Schema
from hansa.node.config import ChainConfig, DataConfig, ListenConfig, load_node
from hansa.node.home import CONFIG, make_home, make_key
from hansa.node.registration import Premises

CHAIN = ChainConfig(("http://127.0.0.1:1",), "deployment.json")
DATA = DataConfig("patients.csv", Schema((Numeric("age"),), "ill", {"no": 0, "yes": 1}))
WORK = 2


def make(folder: Path, port: int = 7000) -> None:
    make_home(folder, "site", "trainer", CHAIN, 1_700_000_000.0, listen=ListenConfig(port=port), data=DATA, work=WORK)


def test_a_home_opens_again(tmp_path: Path) -> None:
    make(tmp_path)
    config = load_node(tmp_path / CONFIG)
    assert (config.name, config.role, config.chain, config.data, config.listen.port) == ("site", "trainer", CHAIN, DATA, 7000)
    premises, certificate = Premises(tmp_path), NodeCertificate(tmp_path / "transport")
    assert premises.key.address == load_key(tmp_path / "account.json", (tmp_path / "password").read_text().strip()).address
    assert premises.entry.certificate == certificate.fingerprint and premises.entry.endpoint == "https://127.0.0.1:7000"
    assert premises.entry.roles == 1 << 1 and len((tmp_path / "salt").read_bytes()) == 32


@pytest.mark.parametrize("share", ["0.0", "1.5", "-1.0"])
def test_a_devices_share_is_a_part(tmp_path: Path, share: str) -> None:
    make(tmp_path)
    config = tmp_path / CONFIG
    assert load_node(config).share == 1.0
    config.write_text(config.read_text().replace("share = 1.0", "share = 0.25"))
    assert load_node(config).share == 0.25
    config.write_text(config.read_text().replace("share = 0.25", f"share = {share}"))
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        load_node(config)


def test_nothing_secret_is_readable_by_others(tmp_path: Path) -> None:
    make(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "transport.cert.pem":
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_home_is_not_made_twice(tmp_path: Path) -> None:
    make(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="holds the node 'site' already"):
        make(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_a_crash_left_is_taken_up(tmp_path: Path) -> None:
    key = make_key(tmp_path, work=WORK)
    (tmp_path / "salt").write_bytes(b"s" * 32)
    make(tmp_path)
    assert Premises(tmp_path).key.address == key.address and (tmp_path / "salt").read_bytes() == b"s" * 32


def test_a_password_without_a_key_is_used(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from before the crash\n")
    make(tmp_path)
    assert Premises(tmp_path).key.address


def test_a_trainer_needs_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a trainer needs its data"):
        make_home(tmp_path, "site", "trainer", CHAIN, 0.0, listen=ListenConfig(), work=WORK)
    assert not (tmp_path / CONFIG).exists()


def test_a_registered_node_needs_a_lasting_port(tmp_path: Path) -> None:
    make(tmp_path, port=0)
    with pytest.raises(ConfigError, match="port is 0"):
        Premises(tmp_path)
