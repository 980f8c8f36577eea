"""The book: on disk before it is believed, the same after a restart, nothing of what is over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

import pytest

from hansa.core.errors import StorageError
from hansa.core.ports import Entry
from hansa.core.types import Address, BlobRef, Judgement
from hansa.identity.statements import Evaluation, UpdateReceipt, UpdateStatement
from hansa.node.book import Book
from hansa.node.records import (
    Absent,
    Any,
    Claimed,
    Contradicted,
    Drafted,
    Forgotten,
    Guarded,
    Left,
    Made,
    Measured,
    Published,
    Received,
    Shared,
    Took,
    Voted,
)  # fmt: skip
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot
from hansa.rounds.manifest import Accepted
from hansa.runtime.journal import MemoryJournal

ME = Address("0x" + "01" * 20)
SAID = UpdateStatement(1, 2, ME, b"b" * 32, b"u" * 32, 77, 1, b"d" * 32)
ACCEPTED = Accepted(SAID, b"s" * 65)
ANCHOR = Anchor(1, 2, 0, *(bytes([place]) * 32 for place in range(3)), 5, b"a" * 32, b"m" * 32, 6, b"c" * 32, 3)
VALID, WRONG = (Ballot(2, judgement, bytes([judgement]) * 32, b"s" * 65) for judgement in (Judgement.VALID, Judgement.WRONG))
EVALUATION = Evaluation(1, 0, b"m" * 32, b"x" * 32, 900_000, 500_000, True)

EVERYTHING: tuple[Any, ...] = (
    Made(ACCEPTED), Received(UpdateReceipt(1, 2, 0, ME, b"u" * 32), ME, b"s" * 65), Took(ACCEPTED), Left(ACCEPTED),
    Absent(1, 2, 0, ME, "0xv"), Drafted(ANCHOR), Voted(1, 2, 0, VALID, own=True), Contradicted(1, 2, 0, b"a" * 32, WRONG, 5.0),
    Published(1, 2, 0), Measured(EVALUATION, 2, b"s" * 65, own=True), Shared(1, 0), Claimed(1, 0),
    Guarded(1, BlobRef(b"u" * 32, 77), 99, False, "0xc"),
)  # fmt: skip
FACTS = "made received took left absent drafts boxes own contradicted published measured shared claimed guarded brought forgotten".split()


def facts(book: Book) -> dict[str, object]:
    """All that the book knows, without the empty places that looking made."""
    known = {name: getattr(book, name) for name in FACTS}
    return {name: {at: value for at, value in fact.items() if value} if isinstance(fact, dict) else fact for name, fact in known.items()}


def test_every_kind_of_record_is_there_again_after_a_restart() -> None:
    async def main() -> None:
        entries: list[Entry] = []
        book = Book(MemoryJournal(entries))
        await book.write(*EVERYTHING)
        again = Book(MemoryJournal(entries))
        assert facts(again) == facts(book) and all(facts(book)[name] for name in FACTS if name != "forgotten")
        assert again.trainer(1).updates == {(2, b"b" * 32)} and again.trainer(1).receipts == {(2, 0, ME)}
        coordinator, verifier = again.coordinator(1), again.verifier(1, 2)
        assert coordinator.drafts == {(2, 0): ANCHOR} and coordinator.absent == {(2, 0): {ME: frozenset({"0xv"})}}
        assert verifier.verdicts == {(2, 0): VALID} and verifier.evaluated == {0} and verifier.evaluations == {0: 1}
        assert again.verifier(1, 3).evaluated == frozenset()
        for each in (book, again):
            await each.close()

    asyncio.run(main())


def test_what_is_over_is_forgotten_also_after_a_restart() -> None:
    async def main() -> None:
        entries: list[Entry] = []
        book = Book(MemoryJournal(entries))
        await book.write(*EVERYTHING, Guarded(2, BlobRef(b"u" * 32, 77), 99, True))
        await book.write(Forgotten(1))
        for each in (book, Book(MemoryJournal(entries))):
            left = facts(each)
            assert left.pop("forgotten") == {1}
            assert left.pop("guarded") == {b"u" * 32: {2: Guarded(2, BlobRef(b"u" * 32, 77), 99, True)}}
            assert left.pop("brought") == {2: {"": 77}} and not any(left.values())
            await each.close()

    asyncio.run(main())


def test_a_seats_first_word_counts() -> None:
    async def main() -> None:
        book = Book(MemoryJournal())
        other = Measured(Evaluation(1, 0, b"m" * 32, b"x" * 32, 1, 500_000, False), 2, b"t" * 65)
        await book.write(Voted(1, 2, 0, VALID), Voted(1, 2, 0, WRONG), Measured(EVALUATION, 2, b"s" * 65), other)
        assert book.boxes[1][(2, 0)] == {2: VALID} and book.measured[1][0][2].evaluation == EVALUATION
        await book.close()

    asyncio.run(main())


def test_evaluations_count_that_agree_to_the_last_digit() -> None:
    async def main() -> None:
        book = Book(MemoryJournal())
        other = Evaluation(1, 0, b"m" * 32, b"x" * 32, 900_001, 500_000, True)
        failed = Evaluation(1, 0, b"m" * 32, b"x" * 32, 1, 500_000, False)
        await book.write(
            *(Measured(each, seat, b"s" * 65) for seat, each in enumerate((EVALUATION, other, EVALUATION, failed, failed, failed)))
        )
        assert book.verifier(1, None).evaluations == {0: 2}
        await book.close()

    asyncio.run(main())


class Slow(MemoryJournal):
    """Counts its flushes, and holds the first one until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.flushes: list[int] = []
        self.go = threading.Event()

    def append_all(self, records: Iterable[tuple[str, bytes]]) -> int:
        self.go.wait(10.0)
        listed = list(records)
        self.flushes.append(len(listed))
        return super().append_all(listed)


def test_writes_of_many_tasks_share_a_flush_and_none_is_believed_before_it() -> None:
    async def main() -> None:
        journal = Slow()
        book = Book(journal)
        writes = [asyncio.create_task(book.write(Claimed(1, number))) for number in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert not any(write.done() for write in writes) and not book.claimed[1]
        journal.go.set()
        await asyncio.gather(*writes)
        assert book.claimed[1] == set(range(20)) and sum(journal.flushes) == 20 and len(journal.flushes) <= 2
        await book.close()

    asyncio.run(main())


def test_who_gives_up_waiting_leaves_the_record_behind() -> None:
    async def main() -> None:
        journal = Slow()
        book = Book(journal)
        write = asyncio.create_task(book.write(Claimed(1, 0)))
        await asyncio.sleep(0)
        write.cancel()
        journal.go.set()
        await book.close()
        assert book.claimed[1] == {0} and [entry.kind for entry in journal.read()] == ["book"]

    asyncio.run(main())


def test_a_full_disk_is_told_to_everyone_who_waits_and_nothing_is_believed() -> None:
    async def main() -> None:
        entries: list[Entry] = []
        book = Book(MemoryJournal(entries, capacity=10))
        answers = await asyncio.gather(*(book.write(Claimed(1, number)) for number in range(3)), return_exceptions=True)
        assert all(isinstance(each, StorageError) for each in answers) and not book.claimed[1] and not entries
        await book.write()
        with pytest.raises(StorageError):
            await book.write(Claimed(1, 9))
        await book.close()

    asyncio.run(main())
