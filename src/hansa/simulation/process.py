"""What a worker process of a simulation does: parts of rounds, on a shop that it opens from a folder once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from hansa.core.encoding import decode
from hansa.core.errors import ProtocolError
from hansa.learning.local import make_deterministic, open_device
from hansa.simulation.allocation import keep_pages
from hansa.simulation.messages import Buffer, Header, pack_outcome, read_shop, unpack_call
from hansa.simulation.sequential import Sequential
from hansa.simulation.vectorised import Vectorised
from hansa.simulation.work import Outcome, Shop

_MESSAGE = 1 << 28

Ways = dict[str, Sequential | Vectorised]


class Hand:
    """One process's shops, by folder."""

    def __init__(self) -> None:
        self._device = torch.device("cpu")
        self._folder, self._shop = "", cast("Shop | None", None)
        self._ways: Ways = {}

    def setup(self, device: str, threads: int) -> None:
        keep_pages()
        make_deterministic(threads)
        self._device = open_device(device)

    def open(self, folder: Path) -> None:
        """Take up the shop in a folder, in place of the one before."""
        shop = read_shop(folder, self._device)
        self._shop, self._ways = shop, {"sequential": Sequential(shop), "vectorised": Vectorised(shop)}

    def part(self, header: bytes, buffers: Sequence[Buffer]) -> tuple[bytes, list[bytes | memoryview]]:
        """Train some places of a cohort; an empty folder means the shop that is open."""
        begun = time.process_time()
        asked = decode(header, Header, limit=_MESSAGE)
        if asked.folder and asked.folder != self._folder:
            self.open(Path(asked.folder))
            self._folder = asked.folder
        if self._shop is None:
            raise ProtocolError("no shop is open in this process; name its folder")
        call = unpack_call(asked, self._shop, buffers)
        outcome = Outcome(self._shop, call)
        self._ways[asked.within].some(call, asked.places, outcome)
        return pack_outcome(outcome, asked.places, time.process_time() - begun)


_HAND = Hand()
setup = _HAND.setup
HANDLERS = {"part": _HAND.part}
