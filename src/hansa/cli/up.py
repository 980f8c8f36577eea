"""`hansa up`: a network on this machine that stays."""

from __future__ import annotations

from hansa.cli import show
from hansa.cli.options import Home, Json


def up(home: Home, json: Json = False) -> None:
    """Start a network on this machine - chain, four hospitals, coordinators, verifiers - and keep it up until Ctrl-C.

    The same home starts the same network again.
    """
    show.run(_up(home, json))


async def _up(home: Home, json: bool) -> None:
    from hansa.runtime.shutdown import on_signal
    from hansa.simulation.network import Network
    from hansa.simulation.plan import hospital_plan

    async with Network(hospital_plan(home), restart=True) as network:
        stop = on_signal()
        parties = [
            {"name": name, "role": member.role, "listens": network.endpoint(name), "account": network.account(name),
             "stake": show.tokens(network.standings[name].staked), "log": str(network.home / "logs" / f"{name}.log")}
            for name, member in network.members.items()
        ]  # fmt: skip
        if json:
            show.as_json({"chain": network.chain_url, "deployment": str(network.deployment_file), "parties": parties})
        else:
            rows = [("chain", "embedded", network.chain_url, "", "")]
            rows += [(p["name"], p["role"], p["listens"] if p["role"] != "client" else "-", p["account"], p["stake"]) for p in parties]
            show.table(("who", "role", "listens", "account", "stake"), rows)
            print(f"\nState and logs: {network.home}. Ctrl-C ends it; the same command takes it up again.", flush=True)
        await stop.wait()
