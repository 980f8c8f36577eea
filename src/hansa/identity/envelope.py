"""Sealing and opening signed requests: bound to one chain, contract, recipient, body and short time, and accepted once."""

from __future__ import annotations

import hmac
import re
import secrets

import msgspec

from hansa.core.errors import EnvelopeError, FormatError, IdentityError
from hansa.core.ports import Signer
from hansa.core.types import Address, Digest, Envelope
from hansa.identity.keys import SIGNATURE_SIZE, is_address, recover
from hansa.identity.replay import MAX_AHEAD, ReplayGuard
from hansa.identity.typed import Domain, StructType

LIFETIME = MAX_AHEAD - 5
"""Seconds an honest sender gives its requests. Long, so that clocks may differ by minutes; shorter than the receiver's limit by the
seconds that a sender's clock may run ahead, which are also those for which a restarted receiver is deaf (see `ReplayGuard`)."""

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TYPE = StructType(
    "Envelope(address sender,address recipient,string kind,uint256 job,uint32 round,bytes32 bodyDigest,bytes32 nonce,uint64 deadline)"
)


def is_kind(text: str) -> bool:
    """Whether `text` can name a kind of request: 1 to 32 lower-case letters, digits and hyphens, a letter first."""
    return _KIND.fullmatch(text) is not None


def digest(envelope: Envelope, domain: Domain) -> Digest:
    """The 32 bytes that the sender signs; FormatError when a field does not fit its type."""
    return _TYPE.digest(domain, msgspec.structs.astuple(envelope)[:-1])


def seal(
    signer: Signer, domain: Domain, *, recipient: Address, kind: str, body_digest: bytes, now: float, job: int = 0, round: int = 0
) -> Envelope:
    """A signed envelope around a body of this sha256, with a nonce from the operating system and a deadline LIFETIME after `now`."""
    if not is_kind(kind):
        raise FormatError(f"{kind!r:.60} names no kind of request; use 1 to 32 lower-case letters, digits and hyphens")
    unsigned = Envelope(
        sender=signer.address,
        recipient=recipient,
        kind=kind,
        job=job,
        round=round,
        body_digest=body_digest,
        nonce=secrets.token_bytes(32),
        deadline=int(now) + LIFETIME,
    )
    return msgspec.structs.replace(unsigned, signature=signer.sign(digest(unsigned, domain)))


def inspect(envelope: Envelope, me: Address, domain: Domain, now: float) -> Address:
    """The proven sender of an envelope whose body has not been read yet; EnvelopeError says what is wrong. Cheapest check first."""
    if len(envelope.signature) != SIGNATURE_SIZE or len(envelope.nonce) != 32 or len(envelope.body_digest) != 32:
        raise EnvelopeError("the envelope's nonce, body digest or signature has the wrong length")
    if not is_kind(envelope.kind) or not is_address(envelope.sender):
        raise EnvelopeError("the envelope's kind or sender is malformed")
    if envelope.recipient != me:
        raise EnvelopeError(f"the request is for another recipient, not for {me}; look up the peer's account on the ledger")
    if envelope.deadline < now:
        raise EnvelopeError("the request has expired; check the clock and sign a new one")
    if envelope.deadline > now + MAX_AHEAD:
        raise EnvelopeError(f"the request expires more than {MAX_AHEAD} seconds from now; check the clock")
    try:
        signer = recover(digest(envelope, domain), envelope.signature)
    except (FormatError, IdentityError) as error:
        raise EnvelopeError(f"the request's signature cannot be checked: {error}") from error
    if signer != envelope.sender:
        raise EnvelopeError("the request was not signed by its sender for this chain and contract")
    return signer


def accept(envelope: Envelope, body_digest: bytes, replay: ReplayGuard) -> None:
    """What is left once the body has been read: the sha256 of what came, then the nonce, which only a request right in all else uses up.

    `envelope` has passed `inspect`. EnvelopeError when the body is another one or the request came before.
    """
    if not hmac.compare_digest(body_digest, envelope.body_digest):
        raise EnvelopeError("the body is not the one that was signed")
    replay.admit(Address(envelope.sender), envelope.deadline, envelope.nonce)
