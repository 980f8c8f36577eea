"""Several JSON-RPC endpoints of one chain as one: the highest head is preferred, a silent or lagging endpoint is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from hansa.chain.rpc import Endpoint, EndpointDown
from hansa.chain.wire import RpcError, quantity, result_as
from hansa.core.errors import ConfigError, LedgerUnreachable, WrongChain

T = TypeVar("T")

_PROBE_SECONDS = 5.0
_PROBE_TIMEOUT = 3.0
_LAG = 2


class Endpoints:
    """Use `open`; requests go to one endpoint until it fails or falls more than two blocks behind another."""

    def __init__(self, endpoints: Sequence[Endpoint], chain_id: int) -> None:
        self._endpoints, self.chain_id = list(endpoints), chain_id
        self._current = self._endpoints[0]
        self._probed = 0.0

    @classmethod
    async def open(cls, urls: Sequence[str], chain_id: int | None = None) -> Endpoints:
        """Connect to those that answer. WrongChain when one belongs to another chain, LedgerUnreachable when none answers."""
        if not urls:
            raise ConfigError("no endpoint of the chain is configured; name at least one, such as http://127.0.0.1:8545")
        endpoints = [Endpoint(url) for url in urls]
        try:
            answers = await asyncio.gather(*[_ask(endpoint) for endpoint in endpoints])
            first = next((answer for answer in answers if answer is not None), None)
            if first is None:
                raise _unreachable(endpoints)
            opened = cls(endpoints, chain_id if chain_id is not None else first[0])
            opened._choose(answers)
        except BaseException:
            for endpoint in endpoints:
                await endpoint.close()
            raise
        return opened

    async def request(self, method: str, params: object, shape: type[T], *, timeout: float | None = None) -> T:
        """The result from the endpoint in use, or from the next best; RpcError is an answer and is not asked again elsewhere."""
        if len(self._endpoints) > 1 and asyncio.get_running_loop().time() - self._probed > _PROBE_SECONDS:
            await self._probe()
        try:
            return await self._current.request(method, params, shape, timeout=timeout)
        except EndpointDown:
            if len(self._endpoints) == 1:
                raise
        for _ in self._endpoints:
            await self._probe(leaving=self._current)
            try:
                return await self._current.request(method, params, shape, timeout=timeout)
            except EndpointDown:
                continue
        raise _unreachable(self._endpoints)

    async def optional(self, method: str, params: object, shape: type[T], *, timeout: float | None = None) -> T | None:
        """Like `request` for methods that answer null when there is nothing."""
        found = await self.request(method, params, msgspec.Raw, timeout=timeout)
        return None if bytes(found) == b"null" else result_as(found, shape)

    async def close(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.close()

    async def _probe(self, leaving: Endpoint | None = None) -> None:
        self._probed = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*[_ask(endpoint) for endpoint in self._endpoints])
        if all(answer is None for answer in answers):
            raise _unreachable(self._endpoints)
        self._choose([None if endpoint is leaving else answer for endpoint, answer in zip(self._endpoints, answers, strict=True)])

    def _choose(self, answers: Sequence[tuple[int, int] | None]) -> None:
        """Change to the highest head, but not for a lead that the next block may turn round; of equals the first in the list."""
        heads = {endpoint: answer[1] for endpoint, answer in zip(self._endpoints, answers, strict=True) if answer is not None}
        for endpoint, answer in zip(self._endpoints, answers, strict=True):
            if answer is not None and answer[0] != self.chain_id:
                raise WrongChain(f"{endpoint.name} serves chain {answer[0]}, not {self.chain_id}; take it out of the list of endpoints")
        if heads and max(heads.values()) > heads.get(self._current, -_LAG - 1) + _LAG:
            self._current = max(heads, key=lambda endpoint: heads[endpoint])


async def _ask(endpoint: Endpoint) -> tuple[int, int] | None:
    """Chain id and height, or None from one that does not answer."""
    try:
        chain = await endpoint.request("eth_chainId", (), str, timeout=_PROBE_TIMEOUT)
        head = await endpoint.request("eth_blockNumber", (), str, timeout=_PROBE_TIMEOUT)
    except (EndpointDown, RpcError):
        return None
    return quantity(chain), quantity(head)


def _unreachable(endpoints: Sequence[Endpoint]) -> LedgerUnreachable:
    names = ", ".join([endpoint.name for endpoint in endpoints])
    return LedgerUnreachable(f"no endpoint of the chain answers; tried {names}: check the network and the list of endpoints")
