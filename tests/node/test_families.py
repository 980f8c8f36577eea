"""Every family of models is trained, checked and accepted as a job on real nodes, from sites' own files; what does not fit stays out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hansa.core.encoding import decode, sha256
from hansa.core.errors import BlobUnavailable, DataError, FormatError, ProtocolError
from hansa.core.types import BlobRef
from hansa.learning import examples
from hansa.learning.calls import EvaluateCall, Evaluated, Rows, TrainCall
from hansa.learning.examples import Examples
from hansa.learning.pace import Pace
from hansa.learning.schema import Categorical, Numeric, Schema, Tokens
from hansa.learning.strategies import Boosting, FedAvg, FedNova, PartialWidth
from hansa.learning.strategy import LocalTraining
from hansa.learning.text import windows
from hansa.learning.trees import grow, histogram
from hansa.model import codec
from hansa.model.architectures import Block, Cnn, Lora, Mlp, Objective, Transformer, Trees, initial, layout, merge
from hansa.node.asking import ask
from hansa.node.beginning import frozen_model
from hansa.node.client import ClientNode
from hansa.node.config import DataConfig
from hansa.node.coordinator import CoordinatorNode
from hansa.node.table import Table
from hansa.node.verifier import VerifierNode
from hansa.rounds.job import Phase
from hansa.rounds.spec import Acceptance
from hansa.storage import unixfs
from tests.node.conftest import Hall
from tests.node.world import FEATURES, SCHEMA, Make, SharedPool, World, rows, trainer

LOCAL = LocalTraining(rate=0.5, batch=8, epochs=2)
ADAM = LocalTraining(rate=0.02, batch=8, epochs=8, optimiser="adam")
MLP = Mlp(FEATURES, (8,), 1)
SIDE = 6
IMAGES = Schema((Numeric("pixels", SIDE * SIDE),), "kind", {"no": 0, "yes": 1})
CNN = Cnn(1, SIDE, SIDE, 2, (Block(4, pool=2, groups=2),), hidden=(8,))
CONTEXT = 8
TEXT = Schema((Tokens("play", CONTEXT),))
DECODER = Transformer(CONTEXT, 16, 2, 1, vocabulary=128)
TREES = Trees(FEATURES, steps=1, depth=2, bins=16)


class Recording(SharedPool):
    """Notes what a node asks of the workers."""

    def __init__(self, pool: SharedPool) -> None:
        super().__init__(pool)
        self.calls: list[TrainCall] = []

    async def run(self, kind: str, header: bytes, *arguments: Any, **options: Any) -> Any:
        if kind == "train":
            self.calls.append(decode(header, TrainCall))
        return await super().run(kind, header, *arguments, **options)


def file_of(folder: Path, name: str, schema: Schema, salt: bytes = bytes(range(32))) -> Examples:
    """The rows of a file as a site's node has them."""
    (folder / "salt").write_bytes(salt)
    found, digest = Table(DataConfig(name, schema), folder).read()
    assert len(digest) == 32
    return found


def images(seed: int, count: int = 40) -> Examples:
    """Pictures with a bright left half, or a bright right half."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, count)
    bright = np.where(np.arange(SIDE)[None, None, :] < SIDE // 2, kinds[:, None, None] == 0, kinds[:, None, None] == 1)
    pictures = (bright + rng.normal(scale=0.4, size=(count, SIDE, SIDE))).astype(np.float32)
    return Examples(pictures.reshape(count, -1), kinds.astype(np.int64))


def verse(seed: int, count: int = 40) -> bytes:
    """A text in which each letter tells the next, but for where it begins."""
    alphabet = b"to be or nt?"
    start = seed % len(alphabet)
    return (alphabet * (count * CONTEXT // len(alphabet) + 2))[start : start + count * CONTEXT + 1]


def text(seed: int, count: int = 40) -> Examples:
    return windows(verse(seed, count), CONTEXT)


def saw_images(folder: Path, seed: int) -> Examples:
    made = images(seed)
    pixels = made.features.reshape(len(made), 1, SIDE, SIDE)
    np.savez(folder / f"{seed}.npz", pixels=pixels, kind=np.where(made.labels == 1, "yes", "no"))
    return file_of(folder, f"{seed}.npz", IMAGES)


def saw_text(folder: Path, seed: int) -> Examples:
    (folder / f"{seed}.txt").write_bytes(verse(seed))
    found = file_of(folder, f"{seed}.txt", TEXT)
    assert found.features.tobytes() == text(seed).features.tobytes(), "token ids stay as they are"
    return found


async def company(world: World, pool: SharedPool, sites: Sequence[Make], pools: Sequence[SharedPool] = ()) -> None:
    await world.add("client", ClientNode, pool)
    await world.add("coordinator", CoordinatorNode, pool)
    await world.add("standby", CoordinatorNode, pool)
    for number, (site, own) in enumerate(itertools.zip_longest(sites, pools, fillvalue=pool)):
        await world.add(f"t{number}", site, own)  # type: ignore[arg-type]
    for number in range(3):
        await world.add(f"v{number}", VerifierNode, pool)


async def accepted(world: World, job: int) -> None:
    """All rounds are final, and the last model has passed on the client's sealed rows."""
    await world.step_until(lambda: bool(world.state(job).accepted), "the model is accepted")
    state = world.state(job)
    assert len(state.final) == state.terms.rounds and state.removed == ()
    assert state.accepted[-1][1] == state.final[-1].anchor.model


CASES: dict[str, dict[str, Any]] = {
    "mlp": {"architecture": MLP, "strategy": FedAvg(LOCAL)},
    "cnn": {
        "architecture": CNN, "objective": Objective.CATEGORICAL, "data": IMAGES, "held": images, "strategy": FedAvg(ADAM),
        "acceptance": Acceptance("accuracy", 800_000, 0, "a fair guess"),
    },
    "transformer": {
        "architecture": DECODER, "objective": Objective.TOKENS, "data": TEXT, "held": text, "strategy": FedAvg(ADAM),
        "acceptance": Acceptance("accuracy", 400_000, 0, "always the commonest token, and more"),
    },
    "trees": {
        "architecture": TREES, "strategy": Boosting(TREES, rows=64), "bits": 32, "max_weight": 1,
        "acceptance": Acceptance("accuracy", 600_000, 0, "a fair guess"),
    },
    "partial widths": {"architecture": MLP, "strategy": PartialWidth(LOCAL, MLP, (1.0, 0.5, 0.25))},
}  # fmt: skip


@pytest.mark.parametrize("family", CASES)
def test_a_family_is_trained_by_three_sites_and_accepted(hall: Hall, tmp_path: Path, family: str) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        match family:
            case "cnn":
                sites = [trainer(seed, schema=IMAGES, held=saw_images(tmp_path, seed)) for seed in range(3)]
            case "transformer":
                sites = [trainer(seed, schema=TEXT, held=saw_text(tmp_path, seed)) for seed in range(3)]
            case "partial widths":
                sites = [trainer(seed, share=share) for seed, share in enumerate((1.0, 0.6, 0.3))]
            case _:
                sites = [trainer(seed) for seed in range(3)]
        noted = Recording(pool)
        await company(world, pool, sites, [noted] * 3)
        job = await world.post(rounds=2, milestones=1, **CASES[family])
        await accepted(world, job)
        assert {call.width for call in noted.calls} == ({0, 1, 2} if family == "partial widths" else {0})
        client = world["client"]
        assert isinstance(client, ClientNode)
        made = await client.take(world.state(job))
        assert made.layout == layout(CASES[family]["architecture"])

    hall.play(scenario)


def test_a_forest_on_nodes_is_the_one_that_all_rows_grow(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, [trainer(seed) for seed in range(3)])
        job = await world.post(rounds=2, milestones=1, **CASES["trees"])
        await world.step_until(lambda: len(world.state(job).final) == 2, "all rounds are final")
        state, client = world.state(job), world["client"]
        found = await client.model(state, (await client.spec(state))[0], 3)
        expected = initial(TREES, 7).vector
        for _ in range(TREES.levels):
            sums = sum(histogram(TREES, expected, rows(seed), Objective.BINARY).astype(np.float64) for seed in range(3))
            expected = grow(TREES, expected, np.asarray(sums))
        tensors = found.tensors()
        for tensor, span in found.layout.spans():
            assert tensors[tensor.name].ravel() == pytest.approx(expected[span], abs=1e-5)

    hall.play(scenario)


def test_sums_beyond_their_bound_are_warned_of(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, [trainer(seed) for seed in range(3)])
        with caplog.at_level(logging.WARNING, "hansa.node.trainer"):
            job = await world.post(rounds=2, milestones=1, bound=0.001, **CASES["trees"])
            await world.step_until(lambda: bool(world.state(job).final), "a round is final")

    hall.play(scenario)
    assert any(record.getMessage() == "update" and record.levelno == logging.WARNING for record in caplog.records)


def lora(ref: BlobRef, rank: int = 2) -> Lora:
    return Lora(MLP, ref, rank, alpha=4)


BASE = initial(MLP, 11)
FROZEN = codec.encode(BASE)


def test_an_adapters_base_is_fetched_once_kept_and_merged_at_the_end(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        noted = [Recording(pool) for _ in range(3)]
        await company(world, pool, [trainer(seed) for seed in range(3)], noted)
        client = world["client"]
        assert isinstance(client, ClientNode)
        ref = await client.offer(FROZEN)
        job = await world.post(architecture=lora(ref), strategy=FedAvg(ADAM), milestones=1)
        with pytest.raises(ProtocolError, match="0 of 4 final rounds"):
            await client.take(world.state(job))
        await accepted(world, job)
        sent = [sum(call.frozen for call in each.calls) for each in noted]
        assert sum(sent) >= 1 and max(sent) <= 2, "a site sends it at most once to each worker of the pool, in four rounds"
        for name in ("coordinator", "standby", "v0", "v1", "v2", "t0", "t1", "t2"):
            node = world[name]
            assert await node.blobs.own(ref) == FROZEN and node.book.guarded[ref.digest][job].open, name
        state = world.state(job)
        merged = await client.take(state)
        adapter = await client.model(state, (await client.spec(state))[0], 5)
        assert merged.vector.tobytes() == merge(lora(ref), BASE, adapter).vector.tobytes() and merged.layout == BASE.layout
        held = rows(999, 60)
        call = EvaluateCall(MLP, Objective.BINARY, Rows.of("held", held), attached=True)
        answer, _ = await ask(pool, call, [merged.vector], held, nothing, timeout=60)
        found = await client.evaluate(state, 4)
        assert isinstance(answer, Evaluated) and answer.evaluation.correct == found.correct
        assert answer.evaluation.loss == pytest.approx(found.loss, rel=1e-4)

    hall.play(scenario)


async def nothing() -> Any:
    raise AssertionError("nobody asks for a frozen model")


def test_an_adapters_job_survives_the_end_of_its_nodes_and_of_its_client(hall: Hall) -> None:
    models: list[bytes] = []

    async def started(world: World, pool: SharedPool) -> int:
        await company(world, pool, [trainer(seed) for seed in range(3)])
        client = world["client"]
        assert isinstance(client, ClientNode)
        return await world.post(architecture=lora(await client.offer(FROZEN), 3), strategy=FedAvg(LOCAL))

    async def undisturbed(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        await world.until(lambda: len(world.state(job).final) == 4, "all rounds are final")
        models.append(world.state(job).final[3].anchor.model)

    async def disturbed(world: World, pool: SharedPool) -> None:
        job = await started(world, pool)
        await world.until(lambda: len(world.state(job, "v0").final) >= 1, "a round is final")
        await world.kill("client")
        for name in ("t1", "coordinator"):
            await world.kill(name)
            await world.start(name)
        await world.pass_time(6)
        await world.step_until(lambda: len(world.state(job, "v0").final) == 4, "all rounds are final")
        models.append(world.state(job, "v0").final[3].anchor.model)

    hall.play(undisturbed)
    hall.play(disturbed)
    assert models[0] == models[1]


OTHER = initial(Mlp(FEATURES, (9,), 1), 1)


@pytest.mark.parametrize(
    ("served", "ref", "error", "sentence"),
    [
        (bytes(len(FROZEN)), unixfs.root(FROZEN), BlobUnavailable, "other bytes than asked for"),
        (codec.encode(OTHER), unixfs.root(codec.encode(OTHER)), FormatError, "a model of the job's architecture has"),
        (FROZEN.replace(b"layer00", b"layer09"), unixfs.root(FROZEN.replace(b"layer00", b"layer09")), FormatError, "does not know"),
        (b"", BlobRef(bytes(32), 1 << 40), FormatError, "is named as a blob of 1099511627776 bytes"),
    ],
    ids=["other bytes", "another layout", "other names", "too large"],
)
def test_nobody_joins_a_job_whose_frozen_model_is_not_what_it_says(
    hall: Hall, served: bytes, ref: BlobRef, error: type[Exception], sentence: str
) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, [trainer(seed) for seed in range(3)])
        client = world["client"]
        assert isinstance(client, ClientNode)
        await client.book.write(*client.blobs.guard(0, ref, 1 << 40, open=True))
        client.blobs._recent.put(ref.digest, served)
        job = await world.post(architecture=lora(ref), strategy=FedAvg(LOCAL))
        await world.step_until(lambda: world.state(job).phase is Phase.CLOSED, "the job is given up")
        assert world.state(job).final == () and not world.state(job).trainers
        node = world["v0"]
        spec, _ = await node.spec(world.state(job))
        with pytest.raises(error, match=sentence):
            await frozen_model(node.blobs, spec, [client.account])

    hall.play(scenario, workers=False)


@pytest.mark.parametrize(
    "schema",
    [
        Schema((Tokens("play", CONTEXT + 1),)),
        Schema((Tokens("play", CONTEXT, stride=1),)),
        IMAGES,
    ],
    ids=["another context", "another stride", "a table"],
)
def test_a_site_whose_rows_are_of_another_kind_stays_out(hall: Hall, schema: Schema) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, [trainer(0, schema=schema, held=text(0)), *(trainer(n, schema=TEXT, held=text(n)) for n in (1, 2))])
        job = await world.post(rounds=2, milestones=1, trainers=3, quorum=2, **CASES["transformer"])
        state = world.state(job)
        with pytest.raises(DataError, match="wants other columns"):
            await world["t0"].check_eligible(state, (await world["t0"].spec(state))[0])
        await world.step_until(lambda: bool(world.state(job).final), "a round is final without it")
        assert world["t0"].account not in world.state(job).trainers

    hall.play(scenario)


def test_columns_that_are_coded_otherwise_are_other_columns() -> None:
    assert SCHEMA.difference(SCHEMA) is None
    assert SCHEMA.difference(Schema(SCHEMA.features[:-1], "y", SCHEMA.classes)) == f"x{FEATURES - 1}"
    assert SCHEMA.difference(Schema(SCHEMA.features, "y", {"no": 1, "yes": 0})) == "y"
    blood = Schema((Categorical("blood", ("a", "b")),), "y", SCHEMA.classes)
    assert blood.difference(Schema((Categorical("blood", ("b", "a")),), "y", SCHEMA.classes)) == "blood"


def test_a_text_shorter_than_a_window_and_a_table_in_its_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_bytes(b"to be or")
    with pytest.raises(DataError, match="too short for a context of 8"):
        file_of(tmp_path, "short.txt", TEXT)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is a table, but the schema declares a text"):
        file_of(tmp_path, "table.csv", TEXT)


def test_a_device_that_is_narrower_than_the_jobs_least_stays_out(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, [trainer(0, share=0.1), trainer(1), trainer(2, share=0.5)])
        job = await world.post(rounds=2, milestones=1, quorum=2, **CASES["partial widths"])
        await world.step_until(lambda: len(world.state(job).final) == 2, "all rounds are final")
        assert set(world.state(job).trainers) == {world["t1"].account, world["t2"].account}

    hall.play(scenario)


class Ticking:
    """A timer by which every training takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._now, self._seconds = 0.0, seconds

    def __call__(self) -> float:
        self._now += self._seconds
        return self._now


@pytest.mark.parametrize("strategy", [FedAvg(LOCAL), FedNova(LOCAL, reach=3.0)], ids=["fedavg", "fednova"])
def test_a_slow_site_trains_by_what_it_was_measured_to_do(hall: Hall, strategy: FedAvg | FedNova) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        noted = [Recording(pool) for _ in range(3)]
        # Whatever it does takes this site 4 s: 2 rows are 0.5 rows/s, 8 rows 2 rows/s, 24 rows 6 rows/s.
        await company(world, pool, [trainer(0, timer=Ticking(4.0)), trainer(1, timer=Ticking(1e-3)), trainer(2)], noted)
        job = await world.post(strategy=strategy, pace=Pace(seconds=18.0, batch=2), max_weight=1)
        await world.step_until(lambda: len(world.state(job).final) == 4, "all rounds are final")
        slow = [(each.strategy.local.epochs, each.strategy.local.steps, each.strategy.local.batch) for each in noted[0].calls]
        slow = [plan for plan, _ in itertools.groupby(slow)]  # a call may be repeated with the rows attached
        # Least; 18 s at 0.5 rows/s are one batch; 18 s at 2 rows/s are 4 batches of the 6; 18 s at 8 rows/s are all of it.
        assert slow == [(0, 1, 2), (0, 1, 8), (0, 4, 8), (2, 0, 8)]
        assert noted[0].calls[0].strategy.local.rate == LOCAL.rate / 4
        assert {each.strategy.local for each in noted[1].calls[2:]} == {LOCAL}, "a fast one trains what the job says"

    hall.play(scenario)


def test_a_site_that_cannot_do_the_least_is_done_without(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await company(world, pool, [trainer(0, timer=Ticking(4.0)), trainer(1), trainer(2)])
        job = await world.post(rounds=2, milestones=1, quorum=2, pace=Pace(seconds=3.0, batch=8), strategy=FedAvg(LOCAL), max_weight=1)
        await world.step_until(lambda: len(world.state(job).final) == 2, "all rounds are final")
        page = await world["client"].manifest(world.state(job), 2)
        assert world["t0"].account not in {each.statement.trainer for each in page.updates}

    hall.play(scenario)


def test_the_digest_of_a_text_is_salted_like_a_tables(tmp_path: Path) -> None:
    (tmp_path / "play.txt").write_bytes(verse(0))
    (tmp_path / "salt").write_bytes(b"\1" * 32)
    found, digest = Table(DataConfig("play.txt", TEXT), tmp_path).read()
    assert digest == examples.digest(found, b"\1" * 32) != examples.digest(found, sha256(b""))
