"""What each member of a local network gets before its process starts: a home with keys, and an address that stays the same."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from hansa.core.config import save
from hansa.core.errors import ConfigError
from hansa.node.config import ChainConfig, ListenConfig, load_node
from hansa.node.home import CONFIG, make_home
from hansa.node.registration import Premises
from hansa.simulation.plan import Member, NetworkPlan
from hansa.simulation.ports import Ports


def furnish(plan: NetworkPlan, member: Member, chain_url: str, deployment: Path, ports: Ports) -> Premises:
    """Make the member's home, or open the one that is there; ports that others took meanwhile are replaced in its configuration."""
    folder = plan.home / "nodes" / member.name
    chain = ChainConfig((chain_url,), os.path.relpath(deployment, folder))
    if (folder / CONFIG).exists():
        _readdress(folder, chain, ports)
    else:
        make_home(
            folder, member.name, member.role, chain, time.time(), listen=ListenConfig(port=ports.reserve()), data=member.data,
            device=member.device, standby=member.standby, work=plan.scrypt_work,
        )  # fmt: skip
    return Premises(folder)


def _readdress(folder: Path, chain: ChainConfig, ports: Ports) -> None:
    config = load_node(folder / CONFIG)
    try:
        port = ports.reserve(config.listen.port)
    except ConfigError:
        port = ports.reserve()
    renewed = msgspec.structs.replace(config, chain=chain, listen=ListenConfig(config.listen.host, port))
    if renewed != config:
        save(folder / CONFIG, renewed)
