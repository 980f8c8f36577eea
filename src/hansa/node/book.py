"""A node's own journal, folded: what it made, received, judged and heard, so that after `kill -9` it owes exactly what it owed before."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from hansa.core.encoding import encode
from hansa.core.ports import Journal
from hansa.core.types import BlobRef
from hansa.node.records import (
    Absent,
    Any,
    Claimed,
    Contradicted,
    Drafted,
    Forgotten,
    Guarded,
    Leaving,
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
from hansa.rounds.coordinator import CoordinatorFacts
from hansa.rounds.duties import Ballot
from hansa.rounds.manifest import Accepted
from hansa.rounds.trainer import TrainerFacts
from hansa.rounds.verifier import VerifierFacts

_KIND = "book"
_decoder = msgspec.json.Decoder(Any)


class Book:
    """Records in, facts out. `write` returns only after the records are on disk, and writes of many tasks share one flush."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        # A thread of its own: a slow disk must hold up neither the loop nor the blobs' threads.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="book")
        self._waiting: list[tuple[Sequence[Any], asyncio.Future[None]]] = []
        self._flush: asyncio.Task[None] | None = None
        self.made: dict[int, dict[tuple[int, bytes], Accepted]] = defaultdict(dict)
        self.kept: dict[int, dict[tuple[int, bytes], BlobRef]] = defaultdict(dict)
        self.received: dict[int, set[tuple[int, int, str]]] = defaultdict(set)
        self.promised: dict[int, set[tuple[int, int, int]]] = defaultdict(set)
        self.took: dict[int, dict[tuple[int, bytes], dict[str, Accepted]]] = defaultdict(lambda: defaultdict(dict))
        self.left: dict[int, dict[tuple[int, bytes, str], Accepted]] = defaultdict(dict)
        self.absent: dict[int, dict[tuple[int, int], dict[str, frozenset[str]]]] = defaultdict(lambda: defaultdict(dict))
        self.drafts: dict[int, dict[tuple[int, int], Anchor]] = defaultdict(dict)
        self.boxes: dict[int, dict[tuple[int, int], dict[int, Ballot]]] = defaultdict(lambda: defaultdict(dict))
        self.own: dict[int, dict[tuple[int, int], Ballot]] = defaultdict(dict)
        self.contradicted: dict[int, dict[tuple[int, int, int], Contradicted]] = defaultdict(dict)
        self.published: dict[int, set[tuple[int, int]]] = defaultdict(set)
        self.measured: dict[int, dict[int, dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
        self.shared: dict[int, set[int]] = defaultdict(set)
        self.claimed: dict[int, set[int]] = defaultdict(set)
        self.leaving: set[int] = set()
        self.guarded: dict[bytes, dict[int, Guarded]] = defaultdict(dict)
        self.brought: dict[int, Counter[str]] = defaultdict(Counter)
        self.forgotten: set[int] = set()
        for entry in journal.read():
            if entry.kind == _KIND:
                self._fold(_decoder.decode(entry.record))

    async def write(self, *records: Any) -> None:
        """Journal first, fold second: what is in memory is always on disk. StorageError when it cannot be written, and then nothing is."""
        if not records:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, done))
        if self._flush is None:
            self._flush = asyncio.get_running_loop().create_task(self._flush_all())
        await done

    async def _flush_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            entries = [(_KIND, encode(record)) for records, _ in batch for record in records]
            try:
                await loop.run_in_executor(self._thread, self._journal.append_all, entries)
            except Exception as error:  # whoever waits is told, whatever it was
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            # In the order of the journal, so that a restart folds the same facts to the same state.
            for records, done in batch:
                for record in records:
                    self._fold(record)
                if not done.done():
                    done.set_result(None)
        self._flush = None

    async def close(self) -> None:
        """Let what was begun reach the disk."""
        if self._flush is not None:
            await asyncio.shield(self._flush)
        self._thread.shutdown()

    def _fold(self, record: Any) -> None:
        match record:
            case Made(accepted, kept):
                said = accepted.statement
                self.made[said.job][(said.round, said.base)] = accepted
                if kept is not None:
                    self.kept[said.job][(said.round, said.base)] = kept
            case Received(receipt, coordinator):
                self.received[receipt.job].add((receipt.round, receipt.attempt, coordinator))
                for made, accepted in self.made[receipt.job].items():
                    if accepted.statement.update == receipt.update:
                        self.promised[receipt.job].add((receipt.round, receipt.attempt, made[0]))
            case Took(accepted):
                said = accepted.statement
                self.took[said.job][(said.round, said.base)][said.trainer] = accepted
            case Left(accepted):
                said = accepted.statement
                self.left[said.job][(said.round, said.base, said.trainer)] = accepted
            case Absent(job, round, attempt, trainer, verifier):
                lacking = self.absent[job][(round, attempt)]
                lacking[trainer] = lacking.get(trainer, frozenset()) | {verifier}
            case Drafted(anchor):
                self.drafts[anchor.job][(anchor.round, anchor.attempt)] = anchor
            case Voted(job, round, attempt, ballot, own):
                self.boxes[job][(round, attempt)].setdefault(ballot.seat, ballot)
                if own:
                    self.own[job][(round, attempt)] = ballot
            case Contradicted(job, round, attempt, _, ballot):
                self.contradicted[job].setdefault((round, attempt, ballot.seat), record)
            case Published(job, round, attempt):
                self.published[job].add((round, attempt))
            case Measured(evaluation, seat):
                self.measured[evaluation.job][evaluation.milestone].setdefault(seat, record)
            case Shared(job, milestone):
                self.shared[job].add(milestone)
            case Claimed(job, milestone):
                self.claimed[job].add(milestone)
            case Leaving(job):
                self.leaving.add(job)
            case Guarded(job, ref):
                if job not in self.guarded[ref.digest]:
                    self.brought[job][record.by] += ref.size
                self.guarded[ref.digest][job] = record
            case Forgotten(job):
                self._forget(job)

    def _forget(self, job: int) -> None:
        self.forgotten.add(job)
        self.leaving.discard(job)
        for facts in (
            self.made, self.kept, self.received, self.promised, self.took, self.left, self.absent, self.drafts, self.boxes, self.own,
            self.contradicted, self.published, self.measured, self.shared, self.claimed,
            self.brought,
        ):  # fmt: skip
            facts.pop(job, None)
        for digest in [digest for digest, jobs in self.guarded.items() if job in jobs]:
            del self.guarded[digest][job]
            if not self.guarded[digest]:
                del self.guarded[digest]

    def trainer(self, job: int) -> TrainerFacts:
        return TrainerFacts(
            frozenset(self.made[job]),
            frozenset(self.received[job]),
            frozenset(self.claimed[job]),
            leaving=job in self.leaving,
            promised=frozenset(self.promised[job]),
        )

    def coordinator(self, job: int) -> CoordinatorFacts:
        return CoordinatorFacts(self.took[job], self.drafts[job], self.boxes[job], frozenset(self.claimed[job]), self.absent[job])

    def verifier(self, job: int, seat: int | None) -> VerifierFacts:
        measured = self.measured[job]
        return VerifierFacts(
            verdicts=self.own[job],
            published=frozenset(self.published[job]),
            boxes=self.boxes[job],
            evaluated=frozenset(milestone for milestone, seats in measured.items() if seat in seats),
            evaluations={milestone: _agreeing(seats) for milestone, seats in measured.items()},
            claimed=frozenset(self.claimed[job]),
        )


def _agreeing(seats: dict[int, Measured]) -> int:
    """How many seats passed the model by one and the same evaluation."""
    return max(Counter(each.evaluation for each in seats.values() if each.evaluation.passed).values(), default=0)
