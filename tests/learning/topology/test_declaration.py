import pytest

from hansa.core.encoding import canonical, decode
from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.topology.declaration import Gossip, Grid, Ring, Star, Topology, Tree

EVERY: list[Topology] = [Star(), Tree(3), Ring(), Gossip(), Gossip(momentum=0.3, rate=0.7, pull=0.9, closing=4), Grid(4, 2)]


@pytest.mark.parametrize("topology", EVERY, ids=str)
def test_a_declaration_travels_as_json(topology: Topology) -> None:
    assert decode(canonical(topology), Topology) == topology  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.parametrize("text", ['{"type":"mesh"}', '{"type":"star","fanout":2}', '{"type":"tree"}', '{"type":"tree","fanout":1}'])
def test_what_is_no_declaration_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        decode(text.encode(), Topology)  # type: ignore[arg-type]


def test_the_star_alone_runs_over_the_network() -> None:
    assert [topology.networked for topology in EVERY] == [True, False, False, False, False, False]
    assert [topology.one_model for topology in EVERY] == [True, True, True, False, False, False]


@pytest.mark.parametrize("topology", EVERY[1:], ids=str)
def test_a_rule_that_needs_single_updates_is_refused_where_sums_arrive(topology: Topology) -> None:
    topology.check_rule("mean", linear=True)
    Star().check_rule("median", linear=False)
    with pytest.raises(ProtocolError, match="'median' needs every single update.* use the star, or a linear rule"):
        topology.check_rule("median", linear=False)


def test_no_more_peers_than_fit() -> None:
    Grid(4, 2).check_peers(16)
    for topology, count in ((Grid(4, 2), 17), (Ring(), 1025), (Star(), 0)):
        with pytest.raises(ProtocolError, match="do not fit"):
            topology.check_peers(count)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Tree(1), "declare the star"),
        (lambda: Tree(2000), "fan-out"),
        (lambda: Gossip(momentum=1.0), "momentum"),
        (lambda: Gossip(rate=0.0), "rate"),
        (lambda: Gossip(momentum=0.5, pull=0.5), "pull"),
        (lambda: Gossip(pull=float("nan")), "pull"),
        (lambda: Gossip(closing=65), "closes"),
        (lambda: Grid(17, 2), "side"),
        (lambda: Grid(2, 9), "dimensions"),
        (lambda: Grid(16, 6), "smaller"),
    ],
)
def test_bounds(make: object, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        make()  # type: ignore[operator]
