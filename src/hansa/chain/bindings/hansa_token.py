"""`HansaToken`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one, several
from hansa.core.ports import Call
from hansa.core.types import Address

_DOMAIN_SEPARATOR = Function("DOMAIN_SEPARATOR()", "(bytes32)")
_ALLOWANCE = Function("allowance(address,address)", "(uint256)")
_APPROVE = Function("approve(address,uint256)", "(bool)")
_BALANCE_OF = Function("balanceOf(address)", "(uint256)")
_BURN = Function("burn(uint256)")
_BURN_FROM = Function("burnFrom(address,uint256)")
_CAP = Function("cap()", "(uint256)")
_DECIMALS = Function("decimals()", "(uint8)")
_EIP712_DOMAIN = Function("eip712Domain()", "(bytes1,string,string,uint256,address,bytes32,uint256[])")
_MINT = Function("mint(address,uint256)")
_MINTER = Function("minter()", "(address)")
_NAME = Function("name()", "(string)")
_NONCES = Function("nonces(address)", "(uint256)")
_PERMIT = Function("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)")
_SYMBOL = Function("symbol()", "(string)")
_TOTAL_SUPPLY = Function("totalSupply()", "(uint256)")
_TRANSFER = Function("transfer(address,uint256)", "(bool)")
_TRANSFER_FROM = Function("transferFrom(address,address,uint256)", "(bool)")


class HansaToken:
    def __init__(self, address: Address) -> None:
        self.address = address

    def domain_separator(self) -> View[bytes]:
        return _DOMAIN_SEPARATOR.view(one(bytes), self.address)

    def allowance(self, owner: Address, spender: Address) -> View[int]:
        return _ALLOWANCE.view(one(int), self.address, owner, spender)

    def approve(self, spender: Address, value: int) -> Call:
        return _APPROVE.call(self.address, spender, value)

    def balance_of(self, account: Address) -> View[int]:
        return _BALANCE_OF.view(one(int), self.address, account)

    def burn(self, value: int) -> Call:
        return _BURN.call(self.address, value)

    def burn_from(self, account: Address, value: int) -> Call:
        return _BURN_FROM.call(self.address, account, value)

    def cap(self) -> View[int]:
        return _CAP.view(one(int), self.address)

    def decimals(self) -> View[int]:
        return _DECIMALS.view(one(int), self.address)

    def eip712_domain(self) -> View[tuple[bytes, str, str, int, Address, bytes, tuple[int, ...]]]:
        return _EIP712_DOMAIN.view(several(tuple[bytes, str, str, int, Address, bytes, tuple[int, ...]]), self.address)

    def mint(self, to: Address, amount: int) -> Call:
        return _MINT.call(self.address, to, amount)

    def minter(self) -> View[Address]:
        return _MINTER.view(one(Address), self.address)

    def name(self) -> View[str]:
        return _NAME.view(one(str), self.address)

    def nonces(self, owner: Address) -> View[int]:
        return _NONCES.view(one(int), self.address, owner)

    def permit(self, owner: Address, spender: Address, value: int, deadline: int, v: int, r: bytes, s: bytes) -> Call:
        return _PERMIT.call(self.address, owner, spender, value, deadline, v, r, s)

    def symbol(self) -> View[str]:
        return _SYMBOL.view(one(str), self.address)

    def total_supply(self) -> View[int]:
        return _TOTAL_SUPPLY.view(one(int), self.address)

    def transfer(self, to: Address, value: int) -> Call:
        return _TRANSFER.call(self.address, to, value)

    def transfer_from(self, from_: Address, to: Address, value: int) -> Call:
        return _TRANSFER_FROM.call(self.address, from_, to, value)
