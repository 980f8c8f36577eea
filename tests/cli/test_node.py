"""`hansa node`: what is wrong with a site's data, keys, files, port or chain is said in one sentence, and nothing is left half-made."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hansa.core.config import load, save
from hansa.core.types import Role
from hansa.identity.keys import AccountKey
from hansa.market.membership import Entry, join
from hansa.node.config import ChainConfig, ListenConfig, NodeConfig
from hansa.node.registration import Premises
from tests.cli.conftest import CHAIN_ID, Hansa, Town, copy_home
from tests.market.world import start_job

Words = Callable[..., tuple[object, ...]]

GOOD = "age,marker,ill\n30,0.5,yes\n41,0.7,no\n52,0.1,yes\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (GOOD.replace("marker", "maker"), ("has no column 'marker'", "it has age, maker, ill")),
        (GOOD.replace("0.7", "high"), ("column marker has 'high' in row 2, which is not a number",)),
        (GOOD.replace("0.7", "nan"), ("column marker is not finite in row 2",)),
        (GOOD.replace("0.7", "inf"), ("column marker is not finite in row 2",)),
        (GOOD.replace("0.7", ""), ("column marker of patients.csv has no value in row 2",)),
        (GOOD.replace("no", "yes"), ("holds class 1 only",)),
        (GOOD.replace("no", "perhaps"), ("column ill has 'perhaps' in row 2; the schema declares no, yes",)),
        ("age,marker,ill\n", ("holds no complete row",)),
        ("", ("is not a CSV table",)),
    ],
)
def test_data_that_cannot_be_learnt_from_is_refused(
    hansa: Hansa, newcomer: Words, table: Path, tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    table.write_text(content)
    hansa(*newcomer()).sentence(3, *words)
    assert not (tmp_path / "home").exists()


def test_a_home_is_made_once(hansa: Hansa, newcomer: Words, tmp_path: Path) -> None:
    assert hansa(*newcomer(), "--json").json == {
        "name": "site", "role": "trainer", "config": str(tmp_path / "home" / "nodes" / "site" / "node.toml"),
    }  # fmt: skip
    key = (tmp_path / "home" / "nodes" / "site" / "account.json").read_bytes()
    hansa(*newcomer()).sentence(2, "holds the node 'site' already")
    assert (tmp_path / "home" / "nodes" / "site" / "account.json").read_bytes() == key
    for secret in ("password", "salt", "account.json", "transport/transport.key.pem"):
        assert (tmp_path / "home" / "nodes" / "site" / secret).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"role": "miner"}, ("no role 'miner'", "trainer, coordinator, verifier, client")),
        ({"data": None}, ("a trainer needs its data",)),
        ({"deployment": "/nowhere/deployment.json"}, ("no deployment file at /nowhere/deployment.json",)),
    ],
)
def test_a_home_that_could_not_work_is_not_made(
    hansa: Hansa, newcomer: Words, tmp_path: Path, changed: dict[str, object], words: tuple[str, ...]
) -> None:
    hansa(*newcomer(**changed)).sentence(2, *words)
    assert not (tmp_path / "home" / "nodes" / "site" / "node.toml").exists()


def change(site: Path, **fields: object) -> None:
    save(site / "node.toml", msgspec.structs.replace(load(site / "node.toml", NodeConfig), **fields))


def test_a_misspelt_option_is_named(hansa: Hansa, site: Path) -> None:
    (site / "node.toml").write_text("colour = 'blue'\n" + (site / "node.toml").read_text())
    hansa("node", "run", "site").sentence(2, "node.toml", "unknown field `colour`")


def test_a_wrong_password_opens_no_key(hansa: Hansa, site: Path) -> None:
    (site / "password").write_text("not this one\n")
    before = sorted(site.rglob("*"))
    hansa("node", "run", "site").sentence(5, "account.json", "the password is wrong")
    assert sorted(site.rglob("*")) == before


def test_a_missing_column_at_the_start_is_refused(hansa: Hansa, site: Path, table: Path) -> None:
    table.write_text("age,ill\n30,yes\n40,no\n")
    hansa("node", "run", "site").sentence(3, "has no column 'marker'")


def test_a_port_in_use_is_named(hansa: Hansa, site: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        change(site, listen=ListenConfig(port=port))
        hansa("node", "run", "site").sentence(2, str(port))


def test_a_chain_that_does_not_answer_is_named(hansa: Hansa, site: Path, town: Town) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        change(site, chain=ChainConfig((url,), str(town.deployment)))
        for command in (("node", "run", "site"), ("node", "status", "site"), ("node", "register", "site")):
            hansa(*command).sentence(7, "no endpoint of the chain answers", url)


@pytest.mark.parametrize(
    ("field", "value", "code", "words"),
    [
        ("chain_id", CHAIN_ID + 1, 7, ("belongs to another chain", str(CHAIN_ID + 1))),
        ("genesis", "00" * 32, 7, ("belongs to another chain",)),
        ("contracts", None, 2, ("wrong deployment file", "other code than")),
    ],
)
def test_a_wrong_deployment_file_is_named(
    hansa: Hansa, site: Path, town: Town, tmp_path: Path, field: str, value: object, code: int, words: tuple[str, ...]
) -> None:
    record = json.loads(town.deployment.read_text())
    if field == "contracts":
        record["contracts"]["Clock"]["address"] = record["contracts"]["Cohort"]["address"]
    else:
        record[field] = value
    (tmp_path / "wrong.json").write_text(json.dumps(record))
    change(site, chain=ChainConfig((town.url,), str(tmp_path / "wrong.json")))
    hansa("node", "run", "site").sentence(code, *words)


def test_a_file_that_is_no_deployment_is_named(hansa: Hansa, site: Path, town: Town, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    change(site, chain=ChainConfig((town.url,), str(tmp_path / "wrong.json")))
    hansa("node", "status", "site").sentence(2, "wrong.json is not a deployment file")


def test_who_owns_nothing_stakes_nothing(hansa: Hansa, site: Path) -> None:
    hansa("node", "register", "site", "--stake", "5").sentence(2, "owns 0", "get tokens first")
    found = hansa("node", "status", "site", "--json").json
    assert isinstance(found, dict) and (found["entry"], found["staked"]) == (None, 0)


def test_registering_twice_registers_once(hansa: Hansa, site: Path) -> None:
    first = hansa("node", "register", "site", "--json").json
    assert isinstance(first, dict) and first["entry"]["name"] == "site"
    assert hansa("node", "register", "site", "--json").json == first


def test_an_amount_is_a_number(hansa: Hansa, site: Path) -> None:
    hansa("node", "register", "site", "--stake", "much").sentence(2, "'much' is not an amount of tokens")


def test_status_in_words(hansa: Hansa, town: Town, tmp_path: Path) -> None:
    said = hansa("node", "status", "client", home=copy_home(town, tmp_path / "copy"))
    rows = dict(line.split(None, 1) for line in said.out.splitlines())
    assert said.code == 0 and rows["registered"].startswith("'client' at https://127.0.0.1:")
    assert (rows["answers"].strip(), rows["balance"].strip()) == ("no", "1,000")


def test_tokens_go_where_they_are_sent(hansa: Hansa, site: Path, town: Town) -> None:
    home = site.parents[1]
    shutil.copytree(town.home / "nodes" / "poor", home / "nodes" / "poor")
    shutil.copy(town.deployment, home / "deployment.json")
    for _ in range(2):
        assert hansa("node", "pay", "site", "0.25", "--as", "poor").code == 0
    found = hansa("node", "status", "site", "--json").json
    assert isinstance(found, dict) and int(str(found["balance"])) == 10**18 // 2
    hansa("node", "pay", "site", "1000000", "--as", "poor").sentence(2, "less than the", "to pay")
    hansa("node", "pay", "0x12", "1", "--as", "poor").sentence(2, "'0x12' is no account")


def test_a_trainer_leaves_a_job_that_runs(hansa: Hansa, site: Path, town: Town, tmp_path: Path) -> None:
    job = asyncio.run(a_job_with(site, copy_home(town, tmp_path / "copy")))
    hansa("node", "leave", "site", job + 99).sentence(2, f"is no trainer of job {job + 99}")
    assert hansa("node", "leave", "site", job, "--json").json == {"name": "site", "job": job, "freed": 1}
    hansa("node", "leave", "site", job).sentence(2, f"has left job {job} already")
    hansa("node", "leave", "nobody", job).sentence(2, "nobody")


async def a_job_with(site: Path, home: Path) -> int:
    """A job that runs with the site as its trainer, paid by the town's client."""
    async with Premises(home / "nodes" / "client").ledger() as (ledger, contracts):
        client, trainer = Premises(home / "nodes" / "client").key, Premises(site).key
        people = [(trainer, Role.TRAINER), *((AccountKey.generate(), role) for role in (Role.COORDINATOR, Role.VERIFIER))]
        for key, role in people:
            await ledger.send(contracts.token.transfer(key.address, 10), client, intent=f"grant/{key.address}")
            entry = Entry(f"a {role.name.lower()}", "https://127.0.0.1:1", bytes(32), bytes(32), 1 << role)
            await join(ledger, contracts, key, entry, stake=10, bonds=0)
        return await start_job(ledger, contracts, client, people)


@pytest.mark.parametrize("room", [250, 480, 550])
def test_a_full_disk_is_said_and_the_home_completed_later(hansa: Hansa, newcomer: Words, tmp_path: Path, room: int) -> None:
    said = hansa(*newcomer(), room=room)
    assert said.code in (2, 8) and len(said.err.splitlines()) == 1 and "make room" in said.err, said
    assert not (tmp_path / "home" / "nodes" / "site" / "node.toml").exists()
    assert hansa(*newcomer()).code == 0


def test_a_full_disk_stops_a_node_in_one_sentence(hansa: Hansa, site: Path) -> None:
    hansa("node", "register", "site", room=4_096).sentence(8, "membership.sqlite")
    assert hansa("node", "register", "site").code == 0
