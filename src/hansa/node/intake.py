"""Taking an update from a trainer: the checks that coordinator and verifier share, before anything is stored."""

from __future__ import annotations

from hansa.core import frames
from hansa.core.encoding import decode
from hansa.core.errors import FormatError, IdentityError, ProtocolError
from hansa.core.types import Address, Envelope
from hansa.identity.typed import Domain
from hansa.node.directory import Directory
from hansa.rounds.assemble import read_update
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted
from hansa.rounds.spec import JobSpec
from hansa.storage import unixfs


def read_submission(
    envelope: Envelope, body: bytes, job: JobState | None, spec: JobSpec, domain: Domain, directory: Directory
) -> tuple[Accepted, memoryview]:
    """A signed statement and its blob, of the job's current round and a seated trainer; an error of the tree, one sentence, otherwise."""
    if job is None or job.phase is not Phase.OPEN:
        raise ProtocolError(f"job {envelope.job} takes no updates now; follow the ledger and try in an open round")
    header, data = frames.unpack(body, 2)
    accepted = decode(bytes(header), Accepted)
    said = accepted.statement
    if said.trainer not in job.trainers or directory.account_of(said.signer_of(domain, accepted.signature)) != said.trainer:
        raise IdentityError("the update is not signed by a trainer of this job")
    if directory.account_of(Address(envelope.sender)) != said.trainer:
        raise IdentityError("an update is brought by the trainer that signed it")
    if (said.round, said.base) != (job.round, job.base):
        raise ProtocolError(f"the update is of round {said.round}, but round {job.round} of another model is open; train on that")
    if unixfs.root(data) != accepted.ref:
        raise FormatError("the update's bytes do not match the digest its trainer signed; send it again")
    read_update(spec, job, accepted, data)
    return accepted, data
