"""Who is who, folded from the node registry's events: the peer behind an account, the account behind an operator key (R18)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hansa.core.errors import ProtocolError
from hansa.core.types import Address, Peer


class Member(msgspec.Struct, frozen=True):
    """One registered node."""

    account: Address
    name: str
    url: str
    certificate: bytes
    roles: int
    operator: Address | None = None


class Directory:
    """Registered nodes by number; unknown numbers are a gap in the events."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._by_account: dict[Address, int] = {}
        self._by_operator: dict[Address, int] = {}

    def clear(self) -> None:
        self._members.clear()
        self._by_account.clear()
        self._by_operator.clear()

    def fold(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Apply one event of the registry; names it does not know (approvals of the ERC-721 token) change nothing here."""
        match name:
            case "NodeRegistered":
                number = arguments["node"]
                member = Member(
                    arguments["account"], arguments["name"], arguments["endpoint"], arguments["certificate"], arguments["roles"]
                )
                self._members[number] = member
                self._by_account[member.account] = number
            case "NodeUpdated":
                self._change(arguments["node"], url=arguments["endpoint"], certificate=arguments["certificate"])
            case "RolesSet":
                self._change(arguments["node"], roles=arguments["roles"])
            case "OperatorProposed":
                self._drop_operator(arguments["node"])
            case "OperatorSet":
                self._drop_operator(arguments["node"])
                self._change(arguments["node"], operator=arguments["operator"])
                self._by_operator[arguments["operator"]] = arguments["node"]
            case "Transfer" if arguments["token_id"] in self._members:
                self._drop_operator(arguments["token_id"])
                self._by_account.pop(self._members[arguments["token_id"]].account, None)
                self._change(arguments["token_id"], account=arguments["to"])
                self._by_account[arguments["to"]] = arguments["token_id"]

    def peer(self, account: Address) -> Peer:
        """Where `account`'s node listens; ProtocolError when it is not registered."""
        member = self.member(account)
        return Peer(member.account, member.url, member.certificate)

    def member(self, account: Address) -> Member:
        number = self._by_account.get(account)
        if number is None:
            raise ProtocolError(f"{account} is not in the node registry; it has to register before it can be reached")
        return self._members[number]

    def account_of(self, key: Address) -> Address:
        """The account that `key` speaks for: its owner if it is an operator key, itself otherwise."""
        number = self._by_operator.get(key)
        return key if number is None else self._members[number].account

    def __contains__(self, key: Address) -> bool:
        return key in self._by_account or key in self._by_operator

    def name(self, account: Address) -> str:
        """The node's name for people, or its shortened address."""
        number = self._by_account.get(account)
        return f"{account[:8]}…" if number is None else self._members[number].name

    def _change(self, number: int, **changes: object) -> None:
        if number not in self._members:
            raise ProtocolError(f"the registry reports on node {number}, which it never registered: events were missed")
        self._members[number] = msgspec.structs.replace(self._members[number], **changes)

    def _drop_operator(self, number: int) -> None:
        member = self._members.get(number)
        if member is not None and member.operator is not None:
            self._by_operator.pop(member.operator, None)
            self._change(number, operator=None)
