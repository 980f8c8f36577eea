"""The fold of nonces: every crash leaves a journal from which the same answer is read."""

from __future__ import annotations

import pytest

from hansa.chain.nonces import Carried, Nonces
from hansa.chain.transactions import FREE, Fees, Signed, Transaction, sign
from hansa.core.errors import StorageError, WrongChain
from hansa.core.types import ZERO_ADDRESS
from hansa.identity.keys import AccountKey
from hansa.runtime.journal import MemoryJournal

KEY = AccountKey(b"\x01" * 32)
WHO = KEY.address
GENESIS = b"\x11" * 32


def signed(price: int = 0):  # type: ignore[no-untyped-def]
    def make(nonce: int) -> Signed:
        return sign(Transaction(1, nonce, ZERO_ADDRESS, b"", 21_000, Fees(price)), KEY)

    return make


def test_nonces_follow_each_other_and_are_read_again() -> None:
    journal = MemoryJournal()
    nonces = Nonces(journal, GENESIS)
    nonces.raise_to(WHO, 5)
    sent = [nonces.take(WHO, f"{place}", FREE, signed()) for place in range(3)]
    assert [one.nonce for one in sent] == [5, 6, 7]
    again = Nonces(journal, GENESIS)
    assert again.next(WHO) == 8
    assert again.of(WHO, "1") == Carried(6, (sent[1].hash,))
    assert again.at(WHO, 6) == sent[1]
    assert again.of(WHO, "9") is None and again.at(WHO, 9) is None and again.next(ZERO_ADDRESS) == 0


def test_a_journal_that_refuses_uses_no_nonce() -> None:
    class Full(MemoryJournal):
        full = False

        def append(self, kind: str, record: bytes) -> int:
            if self.full:
                raise StorageError("full")
            return super().append(kind, record)

    journal = Full()
    nonces = Nonces(journal, GENESIS)
    journal.full = True
    with pytest.raises(StorageError):
        nonces.take(WHO, "a", FREE, signed())
    journal.full = False
    assert nonces.of(WHO, "a") is None
    assert nonces.take(WHO, "b", FREE, signed()).nonce == 0


def test_a_refused_transaction_frees_its_nonce_only_at_the_end() -> None:
    journal = MemoryJournal()
    nonces = Nonces(journal, GENESIS)
    first, second = nonces.take(WHO, "a", FREE, signed()), nonces.take(WHO, "b", FREE, signed())
    nonces.refuse(first)
    assert (nonces.of(WHO, "a"), nonces.next(WHO)) == (None, 2)
    nonces.refuse(second)
    for fold in (nonces, Nonces(journal, GENESIS)):
        assert (fold.of(WHO, "b"), fold.next(WHO)) == (None, 1)


def test_a_raised_price_keeps_the_nonce_and_both_hashes() -> None:
    journal = MemoryJournal()
    nonces = Nonces(journal, GENESIS)
    cheap = nonces.take(WHO, "a", Fees(1), signed(1))
    dear = nonces.take(WHO, "a", Fees(2), signed(2), nonce=0)
    for fold in (nonces, Nonces(journal, GENESIS)):
        assert fold.of(WHO, "a") == Carried(0, (cheap.hash, dear.hash))
        assert (fold.at(WHO, 0), fold.next(WHO)) == (dear, 1)


def test_only_the_last_few_hundred_keep_their_bytes() -> None:
    nonces = Nonces(MemoryJournal(), GENESIS)
    for place in range(600):
        nonces.take(WHO, f"{place}", FREE, signed())
    assert nonces.at(WHO, 0) is None and nonces.at(WHO, 599) is not None
    assert nonces.of(WHO, "0") is not None


def test_a_journal_of_another_chain_is_refused() -> None:
    journal = MemoryJournal()
    Nonces(journal, GENESIS)
    Nonces(journal, GENESIS)
    with pytest.raises(WrongChain, match="another first block"):
        Nonces(journal, b"\x22" * 32)


def test_a_record_that_cannot_be_read_is_said() -> None:
    journal = MemoryJournal()
    journal.append("chain.sent", b"nonsense")
    with pytest.raises(StorageError, match="cannot be read"):
        Nonces(journal, GENESIS)
