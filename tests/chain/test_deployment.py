"""One deployment per chain, whatever crashes; a file is only believed when the chain agrees."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from hansa.chain import deployment as subject
from hansa.chain.deployment import Contracts, Deployment, Parameters, deploy, load
from hansa.chain.embedded import EmbeddedChain
from hansa.chain.ledger import JsonRpcLedger
from hansa.chain.memory import MemoryLedger
from hansa.core.clock import ManualClock
from hansa.core.errors import ConfigError, WrongChain
from hansa.core.ports import Call, Ledger, Receipt, Signer
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import SqliteJournal

FOUNDER = AccountKey(b"\x01" * 32)
PARAMETERS = Parameters(holder=FOUNDER.address, treasury=FOUNDER.address)


async def check(ledger: Ledger, made: Deployment) -> None:
    contracts = Contracts.of(made)
    assert await contracts.token.balance_of(FOUNDER.address).read(ledger) == int(PARAMETERS.supply)
    assert await contracts.rounds.cohort().read(ledger) == contracts.cohort.address
    assert await contracts.market.fee_bps().read(ledger) == PARAMETERS.fee_bps
    assert made.events()[contracts.rounds.address] == "RoundLedger"


def test_deployed_once_then_only_read(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = MemoryLedger(ManualClock())
        made = await deploy(ledger, FOUNDER, PARAMETERS, tmp_path / "net" / "deployment.json")
        await check(ledger, made)
        head = await ledger.head()
        assert await deploy(ledger, FOUNDER, PARAMETERS, tmp_path / "net" / "deployment.json") == made
        assert await load(ledger, tmp_path / "net" / "deployment.json") == made
        assert await ledger.head() == head
        with pytest.raises(ConfigError, match="other parameters"):
            await deploy(ledger, FOUNDER, msgspec.structs.replace(PARAMETERS, fee_bps=100), tmp_path / "net" / "deployment.json")
        with pytest.raises(ConfigError, match="names no contract Nothing"):
            made.address("Nothing")

    asyncio.run(main())


def test_a_list_gate_belongs_to_its_owner(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = MemoryLedger(ManualClock())
        chosen = msgspec.structs.replace(PARAMETERS, gate="list", gate_owner=FOUNDER.address)
        made = await deploy(ledger, FOUNDER, chosen, tmp_path / "d.json")
        assert "ListGate" in made.contracts and "OpenGate" not in made.contracts
        await check(ledger, made)

    asyncio.run(main())


def test_a_crash_after_any_contract_is_continued(tmp_path: Path) -> None:
    class Dies:
        """A ledger whose process dies after some sends."""

        def __init__(self, ledger: Ledger, sends: int) -> None:
            self._ledger, self._left = ledger, sends

        def __getattr__(self, name: str) -> object:
            return getattr(self._ledger, name)

        async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
            receipt = await self._ledger.send(call, signer, intent=intent)
            self._left -= 1
            if self._left == 0:
                raise KeyboardInterrupt
            return receipt

    async def crash(chain: EmbeddedChain, sends: int) -> None:
        journal = SqliteJournal(tmp_path / "journal.sqlite")
        ledger = await JsonRpcLedger.open([chain.url], journal)
        try:
            await deploy(Dies(ledger, sends), FOUNDER, PARAMETERS, tmp_path / "d.json")  # type: ignore[arg-type]
        except KeyboardInterrupt:
            assert not (tmp_path / "d.json").exists()
        finally:
            await ledger.close()
            journal.close()

    async def main() -> None:
        chain = await EmbeddedChain.open(tmp_path / "chain", clock=ManualClock())
        try:
            for sends in (1, 4, 9, 100):
                await crash(chain, sends)
            journal = SqliteJournal(tmp_path / "journal.sqlite")
            ledger = await JsonRpcLedger.open([chain.url], journal)
            made = await load(ledger, tmp_path / "d.json")
            await check(ledger, made)
            assert (await ledger.head()).number == len(made.contracts) + 1  # each made once, and the cohort told its ledger once
            await ledger.close()
            journal.close()
        finally:
            await chain.close()

    asyncio.run(main())


def test_a_file_of_another_chain_or_other_code_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        ledger, path = MemoryLedger(ManualClock()), tmp_path / "d.json"
        made = await deploy(ledger, FOUNDER, PARAMETERS, path)
        with pytest.raises(WrongChain, match="belongs to another chain"):
            await load(MemoryLedger(ManualClock(), chain_id=5), path)
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(made, genesis="00" * 32)))
        with pytest.raises(WrongChain):
            await load(ledger, path)
        swapped = {**made.contracts, "Clock": msgspec.structs.replace(made.contracts["Clock"], address=made.contracts["Multicall"].address)}
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(made, contracts=swapped)))
        with pytest.raises(ConfigError, match="wrong deployment file .* other code than Clock"):
            await load(ledger, path)
        for text in ("", "{}", "[]"):
            path.write_text(text)
            with pytest.raises(ConfigError, match="is not a deployment file"):
                await load(ledger, path)
        with pytest.raises(ConfigError, match="deploy first"):
            await load(ledger, tmp_path / "nowhere.json")
        with pytest.raises(ConfigError, match="is not an amount"):
            await deploy(ledger, FOUNDER, msgspec.structs.replace(PARAMETERS, supply="1.5"), tmp_path / "other.json")

    asyncio.run(main())


def test_code_hashes_are_the_chains(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = MemoryLedger(ManualClock())
        made = await deploy(ledger, FOUNDER, PARAMETERS, tmp_path / "d.json")
        nobody = {"empty": FOUNDER.address}
        # EXTCODEHASH of an account without code: keccak of nothing (it has sent, so it exists).
        assert (await subject.code_hashes(ledger, nobody))["empty"].hex().startswith("c5d24601")
        assert len({placed.code_hash for placed in made.contracts.values()}) == len(made.contracts)

    asyncio.run(main())
