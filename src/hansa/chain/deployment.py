"""One deployment of all contracts on a chain: made once, whatever crashes; written down with what proves later that it is the right one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from hansa.chain import artifacts
from hansa.chain.bindings.acceptance import Acceptance
from hansa.chain.bindings.clock import Clock
from hansa.chain.bindings.cohort import Cohort
from hansa.chain.bindings.hansa_token import HansaToken
from hansa.chain.bindings.job_market import JobMarket
from hansa.chain.bindings.model_registry import ModelRegistry
from hansa.chain.bindings.multicall import Multicall
from hansa.chain.bindings.node_registry import NodeRegistry
from hansa.chain.bindings.round_ledger import RoundLedger
from hansa.chain.bindings.stake_vault import StakeVault
from hansa.core.encoding import keccak
from hansa.core.errors import ConfigError, WrongChain
from hansa.core.ports import Call, Ledger, Signer
from hansa.core.types import ZERO_ADDRESS, Address


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the founder decides; times in seconds, money in the token's smallest unit as text, because JSON's numbers end at 2^53."""

    holder: str
    treasury: str
    supply: str = str(10**27)
    cap: str = str(2 * 10**27)
    minter: str = ZERO_ADDRESS
    token_name: str = "Hansa"
    token_symbol: str = "HANSA"
    max_gap: int = 600
    thaw_delay: int = 86_400
    fee_bps: int = 300
    gate: Literal["open", "list"] = "open"
    gate_owner: str = ZERO_ADDRESS


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a contract lives and the keccak-256 of the code there, in hexadecimal."""

    address: str
    code_hash: str


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The deployment file: `genesis` is the hash of block 0, `block` the first that may hold events of these contracts."""

    chain_id: int
    genesis: str
    block: int
    parameters: Parameters
    contracts: dict[str, Placed]

    def address(self, name: str) -> Address:
        """ConfigError when this deployment has no such contract."""
        if name not in self.contracts:
            raise ConfigError(f"the deployment file names no contract {name}; deploy again with this version")
        return Address(self.contracts[name].address)

    def events(self) -> dict[Address, str]:
        """Address to contract name, as `Cursor` and `Decoder` take it."""
        return {Address(placed.address): name for name, placed in self.contracts.items()}


class Contracts(NamedTuple):
    """Typed bindings of a deployment."""

    clock: Clock
    token: HansaToken
    vault: StakeVault
    registry: NodeRegistry
    market: JobMarket
    cohort: Cohort
    rounds: RoundLedger
    acceptance: Acceptance
    models: ModelRegistry
    multicall: Multicall

    @classmethod
    def of(cls, deployment: Deployment) -> Contracts:
        at = deployment.address
        return cls(
            Clock(at("Clock")),
            HansaToken(at("HansaToken")),
            StakeVault(at("StakeVault")),
            NodeRegistry(at("NodeRegistry")),
            JobMarket(at("JobMarket")),
            Cohort(at("Cohort")),
            RoundLedger(at("RoundLedger")),
            Acceptance(at("Acceptance")),
            ModelRegistry(at("ModelRegistry")),
            Multicall(at("Multicall")),
        )


async def deploy(ledger: Ledger, signer: Signer, parameters: Parameters, path: Path) -> Deployment:
    """Deploy what is missing and write the file; one that exists is checked and returned, ConfigError if made with other parameters."""
    if path.exists():
        found = await load(ledger, path)
        if found.parameters != parameters:
            raise ConfigError(f"{path} records a deployment with other parameters; use them, or another file for a new deployment")
        return found
    placed: dict[str, Address] = {}
    first = 0
    for name, arguments in _plan(parameters):
        values = [placed[value.name] if isinstance(value, _At) else value for value in arguments]
        call = Call("", artifacts.load(name).creation(*values), f"the creation of {name}")
        receipt = await ledger.send(call, signer, intent=f"deploy:{name}:{keccak(call.data).hex()}")
        placed[name], first = Address(receipt.created), first or receipt.block
    # The one call a deployer ever has: it ties the cohort to its ledger, for good.
    cohort = Cohort(placed["Cohort"])
    if await cohort.ledger().read(ledger) == ZERO_ADDRESS:
        await ledger.send(cohort.set_ledger(placed["RoundLedger"]), signer, intent=f"deploy:set-ledger:{placed['RoundLedger']}")
    hashes = await code_hashes(ledger, placed)
    deployment = Deployment(
        ledger.chain_id,
        (await ledger.block(0)).hash.hex(),
        first,
        parameters,
        {name: Placed(address, hashes[name].hex()) for name, address in placed.items()},
    )
    _write(path, deployment)
    return deployment


async def load(ledger: Ledger, path: Path) -> Deployment:
    """Read and check against the chain. WrongChain when it belongs to another, ConfigError when damaged or when other code lives there."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Deployment)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is not a deployment file ({error}); deploy first, or name the right file") from error
    if found.chain_id != ledger.chain_id or found.genesis != (await ledger.block(0)).hash.hex():
        raise WrongChain(f"{path} belongs to another chain (id {found.chain_id}) than the endpoints; name the file of this chain")
    hashes = await code_hashes(ledger, {name: Address(placed.address) for name, placed in found.contracts.items()})
    for name, placed in found.contracts.items():
        if hashes[name].hex() != placed.code_hash:
            raise ConfigError(f"wrong deployment file {path}: at {placed.address} lives other code than {name}; name the right file")
    return found


async def code_hashes(ledger: Ledger, addresses: Mapping[str, Address]) -> dict[str, bytes]:
    """keccak-256 of the code at each address, by one read: a program that asks EXTCODEHASH of each and returns the answers."""
    program = b""
    for place, address in enumerate(addresses.values(), start=1):
        # PUSH20 address, EXTCODEHASH, PUSH2 offset, MSTORE; word 0 stays zero because no code may begin with 0xef (EIP-3541).
        program += b"\x73" + bytes.fromhex(address[2:]) + b"\x3f\x61" + (32 * place).to_bytes(2, "big") + b"\x52"
    size = 32 * (len(addresses) + 1)
    answer = await ledger.call(Call("", program + b"\x61" + size.to_bytes(2, "big") + b"\x60\x00\xf3", "a look at the contracts' code"))
    return {name: answer[32 * place : 32 * place + 32] for place, name in enumerate(addresses, start=1)}


class _At(NamedTuple):
    """The address of a contract that was placed before."""

    name: str


def _plan(parameters: Parameters) -> list[tuple[str, tuple[object, ...]]]:
    """Contracts in the order of contracts/SPEC.md, each with its constructor's arguments."""
    p = parameters
    gate: tuple[str, tuple[object, ...]] = ("OpenGate", ()) if p.gate == "open" else ("ListGate", (p.gate_owner,))
    clock, token, vault, registry, cohort, ledger = (
        _At(name) for name in ("Clock", "HansaToken", "StakeVault", "NodeRegistry", "Cohort", "RoundLedger")
    )
    return [
        ("Clock", (p.max_gap,)),
        ("HansaToken", (p.token_name, p.token_symbol, _amount(p.cap), p.holder, _amount(p.supply), p.minter)),
        ("StakeVault", (token, clock, p.thaw_delay)),
        gate,
        ("NodeRegistry", (_At(gate[0]), vault)),
        ("JobMarket", (token, clock, p.treasury, p.fee_bps)),
        ("Cohort", (clock, vault, registry)),
        ("RoundLedger", (token, clock, registry, _At("JobMarket"), cohort)),
        ("Acceptance", (clock, cohort, ledger)),
        ("ModelRegistry", ()),
        ("Multicall", ()),
    ]


def _amount(text: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"{text!r} is not an amount; give a whole number of the token's smallest unit")
    return int(text)


def _write(path: Path, deployment: Deployment) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(deployment)))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
