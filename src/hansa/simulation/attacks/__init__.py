"""Attacks on a round's updates and on rows, as pure functions: what dishonest sites send, given all that they could know."""

from __future__ import annotations

from hansa.simulation.attacks.collusion import Alie, InnerProduct, MinMax, MinSum
from hansa.simulation.attacks.crude import NotANumber, SignFlip, Unbounded
from hansa.simulation.attacks.idle import Copy, FreeRider, Mimic, Sybil
from hansa.simulation.attacks.rows import Backdoor, LabelFlip

AnyAttack = (
    SignFlip | Unbounded | NotANumber | Alie | InnerProduct | MinMax | MinSum | Mimic | Copy | FreeRider | Sybil | LabelFlip | Backdoor
)
"""What a scenario may name, by the tag `type`."""
