"""Signatures of simulated parties: a hash over the signer's name and what it signs, thousands of times cheaper than a curve.

A seal proves nothing outside a simulation; inside it, code makes seals only for the party that it plays.
"""

from __future__ import annotations

from functools import lru_cache

from hansa.core import merkle
from hansa.core.encoding import sha256
from hansa.core.types import Judgement
from hansa.identity.statements import UpdateStatement
from hansa.rounds.anchor import Anchor, update_leaf
from hansa.rounds.duties import Ballot


@lru_cache(maxsize=4096)
def digest_of(anchor: Anchor) -> bytes:
    """The anchor's digest, remembered, because every party of a world asks for the same ones."""
    return anchor.digest()


@lru_cache(maxsize=4096)
def leaf_of(statement: UpdateStatement) -> bytes:
    """The update's leaf in the anchor, remembered."""
    return update_leaf(statement)


def update_seal(statement: UpdateStatement) -> bytes:
    return sha256(b"update" + statement.trainer.encode() + leaf_of(statement))


def verdict_seal(account: str, anchor: Anchor, judgement: Judgement, digest: bytes) -> bytes:
    return sha256(b"verdict" + account.encode() + digest_of(anchor) + bytes([judgement]) + digest)


def ballot(account: str, seat: int, anchor: Anchor, judgement: Judgement, digest: bytes) -> Ballot:
    """The signed verdict of `account`, which holds `seat`."""
    return Ballot(seat, judgement, digest, verdict_seal(account, anchor, judgement, digest))


def evaluation_seal(account: str, milestone: int, model: bytes, shard: bytes, metric: int) -> bytes:
    return sha256(b"|".join((b"evaluation", account.encode(), str(milestone).encode(), model, shard, str(metric).encode())))


def shard_leaf(client: str, milestone: int, digest: bytes, salt: bytes) -> bytes:
    """Leaf of `Terms.acceptance`: a salted commitment to one shard of acceptance data (R11)."""
    return merkle.leaf(b"|".join((client.encode(), str(milestone).encode(), digest, salt)))
