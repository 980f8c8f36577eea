"""Taking an update from a trainer: the checks that coordinator and verifier share, before anything is stored."""

from __future__ import annotations

import asyncio

from hansa.core import frames
from hansa.core.encoding import decode
from hansa.core.errors import FormatError, IdentityError, ProtocolError
from hansa.core.types import Address, Envelope
from hansa.identity.typed import Domain
from hansa.node.blobs import MAX_UPLOAD
from hansa.node.directory import Directory
from hansa.rounds.assemble import read_update
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec
from hansa.rounds.staleness import check
from hansa.storage import unixfs
from hansa.transport.limits import Limits

LIMITS = Limits(bodies={kind: MAX_UPLOAD + (64 << 10) for kind in ("update", "leave", "hold")}, connections=2048)
"""What others may send to a node. A job has up to 1,024 trainers, whose connections last from one request to the next."""

_INLINE = 64 << 10


def check_update(accepted: Accepted, data: bytes | memoryview, job: JobState, spec: JobSpec, domain: Domain, directory: Directory) -> None:
    """An update that the job's current round takes, signed by a seated trainer; an error of the tree, one sentence, otherwise."""
    said = accepted.statement
    if said.trainer not in job.trainers or directory.account_of(said.signer_of(domain, accepted.signature)) != said.trainer:
        raise IdentityError("the update is not signed by a trainer of this job")
    check(job, said, spec.staleness, frozenset())
    if len(data) != said.size or unixfs.root(data) != accepted.ref:
        raise FormatError("the update's bytes do not match the digest its trainer signed; send it again")
    read_update(spec, job, accepted, data)


async def read_submission(
    envelope: Envelope, body: bytes, job: JobState | None, spec: JobSpec, domain: Domain, directory: Directory
) -> tuple[Accepted, memoryview]:
    """A signed statement and its blob, brought by the trainer that signed it; an error of the tree, one sentence, otherwise."""
    if job is None or job.phase is not Phase.OPEN:
        raise ProtocolError(f"job {envelope.job} takes no updates now; follow the ledger and try in an open round")
    header, data = frames.unpack(body, 2)
    accepted = decode(bytes(header), Accepted)
    if directory.account_of(Address(envelope.sender)) != accepted.statement.trainer:
        raise IdentityError("an update is brought by the trainer that signed it")
    if len(body) <= _INLINE:
        check_update(accepted, data, job, spec, domain, directory)
    else:
        await asyncio.to_thread(check_update, accepted, data, job, spec, domain, directory)
    return accepted, data


def reached(envelope: Envelope, job: JobState) -> bool:
    """Whether a job's state has come to the round that a sender speaks of; the ledger may have told the sender first."""
    return (
        job.phase in (Phase.DONE, Phase.CLOSED) or job.round > envelope.round or (job.round == envelope.round and job.phase is Phase.OPEN)
    )
