from __future__ import annotations

from hansa.rounds import duties
from tests.rounds.states import anchor, running


def test_a_duty_is_named_by_what_it_is_about() -> None:
    state = running()
    assert duties.SendAnchor(7, 1, 0, anchor(state)).name == "sendanchor/7/1/0"
    assert duties.Settle(7, 1).name == "settle/7/1" and duties.Expire(7).name == "expire/7"


def test_an_intent_is_new_exactly_when_the_work_is() -> None:
    # The ledger sends one intent once, ever: what may be due again has to carry another name.
    assert duties.Takeover(7, 1, 0, 100).name != duties.Takeover(7, 1, 0, 180).name
    assert duties.Regroup(7, 1, 0).name != duties.Regroup(7, 1, 1).name and duties.Leave(7).name != duties.Leave(8).name
    assert duties.RegisterUpdate(7, 1, 0).name != duties.RegisterUpdate(7, 1, 1).name
    assert duties.Train(7, 1, b"a" * 32).name != duties.Train(7, 1, b"b" * 32).name
    assert duties.Assemble(7, 1, 0, ("x",)).name == duties.Assemble(7, 1, 0, ("x", "y")).name
