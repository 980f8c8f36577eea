"""What a job begins with: its first model, its public rows, what an adapter adapts; fetched within the spec's bounds, and kept."""

from __future__ import annotations

from collections.abc import Sequence

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Address, BlobRef
from hansa.model import codec
from hansa.model.architectures import Lora, layout
from hansa.model.layout import Layout
from hansa.model.state import ModelState
from hansa.node.blobs import MAX_UPLOAD, Blobs
from hansa.rounds.spec import JobSpec

MAX_FROZEN = 1 << 30
"""Bytes of the frozen model of an adapter that a node takes in for a job."""


def check_size(what: str, ref: BlobRef, like: Layout) -> None:
    """FormatError, before a byte of it is fetched, unless a model of the layout has the blob's size."""
    if ref.size != codec.size(like):
        raise FormatError(f"{what} is named as a blob of {ref.size} bytes; a model of the job's architecture has {codec.size(like)}")


async def frozen_model(blobs: Blobs, spec: JobSpec, holders: Sequence[Address]) -> ModelState:
    """The model that the job's adapter adapts; FormatError when the blob is not one of the adapter's base architecture, ProtocolError when
    the job has no adapter."""
    if not isinstance(spec.architecture, Lora):
        raise ProtocolError("the job's model is no adapter; nothing is frozen")
    like, ref = layout(spec.architecture.base), spec.architecture.weights
    check_size("the adapter's frozen model", ref, like)
    if ref.size > MAX_FROZEN:
        raise FormatError(f"the adapter's frozen model has {ref.size} bytes; at most {MAX_FROZEN} are taken")
    return codec.decode(await blobs.get(ref, holders), like)


async def keep_frozen(blobs: Blobs, job: int, spec: JobSpec, holders: Sequence[Address], until: int) -> None:
    """Hold the adapter's frozen model for the whole job; nothing when the job has none. Errors as `frozen_model`."""
    if isinstance(spec.architecture, Lora):
        await frozen_model(blobs, spec, holders)
        await blobs.keep(job, await blobs.get(spec.architecture.weights, holders), until, open=True)


async def keep_public(blobs: Blobs, job: int, spec: JobSpec, holders: Sequence[Address], until: int) -> None:
    """Hold the first model and the public rows for the whole job: the client may go away once seats are taken (R17)."""
    for ref in (spec.genesis, spec.progress):
        if ref.size > MAX_UPLOAD:
            raise FormatError(f"job {job} starts from a blob of {ref.size} bytes; at most {MAX_UPLOAD} are taken")
        await blobs.keep(job, await blobs.get(ref, holders), until, open=True)
