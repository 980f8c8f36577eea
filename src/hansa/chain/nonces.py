"""Which transaction carries which intent: a fold over a journal in which every signed transaction stands before it is sent.

A new nonce for an intent is only given once none of its earlier transactions can be mined any more; so an intent happens at most once,
whatever crashes when. A nonce is taken and journalled in one step without a pause, so parallel tasks of a process never share one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hansa.chain.transactions import Fees, Signed
from hansa.core.errors import StorageError, WrongChain
from hansa.core.ports import Journal
from hansa.core.types import Address

_SENT, _REFUSED, _CHAIN = "chain.sent", "chain.refused", "chain.genesis"
_KEPT = 512


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """One signed transaction of an intent and what it offered to pay."""

    signer: str
    intent: str
    nonce: int
    hash: bytes
    raw: bytes
    fees: Fees


class Carried(msgspec.Struct, frozen=True):
    """Where an intent stands: its nonce and the hashes of the transactions that carry it (several when the price was raised)."""

    nonce: int
    hashes: tuple[bytes, ...]


class _Account:
    def __init__(self) -> None:
        self.next = 0
        self.sent: dict[int, Sent] = {}


class Nonces:
    """Opened on a journal it shares with others; only its own kinds are read."""

    def __init__(self, journal: Journal, genesis: bytes) -> None:
        """WrongChain when the journal holds transactions of a chain with another first block."""
        self._journal = journal
        self._accounts: dict[str, _Account] = {}
        self._intents: dict[tuple[str, str], Carried] = {}
        known = b""
        for entry in journal.read():
            if entry.kind == _SENT:
                self._fold(_parse(entry.record))
            elif entry.kind == _REFUSED:
                self._forget(_parse(entry.record))
            elif entry.kind == _CHAIN:
                known = entry.record
        if known and known != genesis:
            raise WrongChain("this journal belongs to a chain with another first block; use the endpoints of that chain or another home")
        if not known:
            journal.append(_CHAIN, genesis)

    def of(self, signer: Address, intent: str) -> Carried | None:
        """Where an intent was last put; None when it was never sent, or refused outright."""
        return self._intents.get((signer, intent))

    def next(self, signer: Address) -> int:
        return self._account(signer).next

    def raise_to(self, signer: Address, nonce: int) -> None:
        """Learn from the chain that lower nonces are used."""
        account = self._account(signer)
        account.next = max(account.next, nonce)

    def take(self, signer: Address, intent: str, fees: Fees, make: Callable[[int], Signed], nonce: int | None = None) -> Sent:
        """Sign with the next nonce (or once more with `nonce`) and journal; StorageError when that fails, and no nonce is used."""
        chosen = self._account(signer).next if nonce is None else nonce
        signed = make(chosen)
        sent = Sent(signer, intent, chosen, signed.hash, signed.raw, fees)
        self._journal.append(_SENT, msgspec.msgpack.encode(sent))
        self._fold(sent)
        return sent

    def refuse(self, sent: Sent) -> None:
        """Note that the chain refused a transaction outright; its nonce is free again if it was the last one."""
        self._journal.append(_REFUSED, msgspec.msgpack.encode(sent))
        self._forget(sent)

    def at(self, signer: Address, nonce: int) -> Sent | None:
        """The latest transaction with this nonce, if it is one of the last few hundred."""
        return self._account(signer).sent.get(nonce)

    def _account(self, signer: str) -> _Account:
        return self._accounts.setdefault(signer, _Account())

    def _fold(self, sent: Sent) -> None:
        account = self._account(sent.signer)
        account.next = max(account.next, sent.nonce + 1)
        account.sent[sent.nonce] = sent
        account.sent.pop(sent.nonce - _KEPT, None)  # long mined, and its bytes are still in the journal
        earlier = self._intents.get((sent.signer, sent.intent))
        hashes = earlier.hashes if earlier is not None and earlier.nonce == sent.nonce else ()
        self._intents[sent.signer, sent.intent] = Carried(sent.nonce, (*hashes, sent.hash))

    def _forget(self, sent: Sent) -> None:
        account = self._account(sent.signer)
        if account.sent.get(sent.nonce) == sent:
            del account.sent[sent.nonce]
            if account.next == sent.nonce + 1:
                account.next = sent.nonce
        carried = self._intents.get((sent.signer, sent.intent))
        if carried is not None and carried.hashes == (sent.hash,):
            del self._intents[sent.signer, sent.intent]


def _parse(record: bytes) -> Sent:
    try:
        return msgspec.msgpack.decode(record, type=Sent)
    except msgspec.DecodeError as error:
        raise StorageError(f"the journal holds a transaction that cannot be read ({error}); restore it from a copy") from error
