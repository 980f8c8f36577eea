"""`NodeRegistry`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.chain.bindings import structs
from hansa.core.ports import Call
from hansa.core.types import Address

_COORDINATOR = Function("COORDINATOR()", "(uint8)")
_CUSTODIAN = Function("CUSTODIAN()", "(uint8)")
_MAX_ENDPOINT = Function("MAX_ENDPOINT()", "(uint256)")
_MAX_NAME = Function("MAX_NAME()", "(uint256)")
_MAX_ROLE = Function("MAX_ROLE()", "(uint8)")
_SERVER = Function("SERVER()", "(uint8)")
_TRAINER = Function("TRAINER()", "(uint8)")
_VERIFIER = Function("VERIFIER()", "(uint8)")
_ACCEPT_OPERATOR = Function("acceptOperator(address)")
_ACCOUNT_OF = Function("accountOf(address)", "(address)")
_APPROVE = Function("approve(address,uint256)")
_BALANCE_OF = Function("balanceOf(address)", "(uint256)")
_COUNT = Function("count()", "(uint256)")
_GATE = Function("gate()", "(address)")
_GET_APPROVED = Function("getApproved(uint256)", "(address)")
_HAS_ROLE = Function("hasRole(address,uint8)", "(bool)")
_ID_OF = Function("idOf(address)", "(uint256)")
_IS_APPROVED_FOR_ALL = Function("isApprovedForAll(address,address)", "(bool)")
_NAME = Function("name()", "(string)")
_NODE_OF = Function("nodeOf(address)", "((string,string,bytes32,bytes32,uint16,address,address))")
_OWNER_OF = Function("ownerOf(uint256)", "(address)")
_REGISTER = Function("register(string,string,bytes32,bytes32,uint16,bytes)", "(uint256)")
_SAFE_TRANSFER_FROM = Function("safeTransferFrom(address,address,uint256)")
_SAFE_TRANSFER_FROM_WITH_DATA = Function("safeTransferFrom(address,address,uint256,bytes)")
_SET_APPROVAL_FOR_ALL = Function("setApprovalForAll(address,bool)")
_SET_OPERATOR = Function("setOperator(address)")
_SET_ROLES = Function("setRoles(uint16,bytes)")
_SUPPORTS_INTERFACE = Function("supportsInterface(bytes4)", "(bool)")
_SYMBOL = Function("symbol()", "(string)")
_TOKEN_URI = Function("tokenURI(uint256)", "(string)")
_TRANSFER_FROM = Function("transferFrom(address,address,uint256)")
_UPDATE = Function("update(string,bytes32,bytes32)")
_VAULT = Function("vault()", "(address)")


class NodeRegistry:
    def __init__(self, address: Address) -> None:
        self.address = address

    def coordinator(self) -> View[int]:
        return _COORDINATOR.view(one(int), self.address)

    def custodian(self) -> View[int]:
        return _CUSTODIAN.view(one(int), self.address)

    def max_endpoint(self) -> View[int]:
        return _MAX_ENDPOINT.view(one(int), self.address)

    def max_name(self) -> View[int]:
        return _MAX_NAME.view(one(int), self.address)

    def max_role(self) -> View[int]:
        return _MAX_ROLE.view(one(int), self.address)

    def server(self) -> View[int]:
        return _SERVER.view(one(int), self.address)

    def trainer(self) -> View[int]:
        return _TRAINER.view(one(int), self.address)

    def verifier(self) -> View[int]:
        return _VERIFIER.view(one(int), self.address)

    def accept_operator(self, account: Address) -> Call:
        return _ACCEPT_OPERATOR.call(self.address, account)

    def account_of(self, key: Address) -> View[Address]:
        return _ACCOUNT_OF.view(one(Address), self.address, key)

    def approve(self, to: Address, token_id: int) -> Call:
        return _APPROVE.call(self.address, to, token_id)

    def balance_of(self, owner: Address) -> View[int]:
        return _BALANCE_OF.view(one(int), self.address, owner)

    def count(self) -> View[int]:
        return _COUNT.view(one(int), self.address)

    def gate(self) -> View[Address]:
        return _GATE.view(one(Address), self.address)

    def get_approved(self, token_id: int) -> View[Address]:
        return _GET_APPROVED.view(one(Address), self.address, token_id)

    def has_role(self, account: Address, role: int) -> View[bool]:
        return _HAS_ROLE.view(one(bool), self.address, account, role)

    def id_of(self, account: Address) -> View[int]:
        return _ID_OF.view(one(int), self.address, account)

    def is_approved_for_all(self, owner: Address, operator: Address) -> View[bool]:
        return _IS_APPROVED_FOR_ALL.view(one(bool), self.address, owner, operator)

    def name(self) -> View[str]:
        return _NAME.view(one(str), self.address)

    def node_of(self, account: Address) -> View[structs.Node]:
        return _NODE_OF.view(one(structs.Node), self.address, account)

    def owner_of(self, token_id: int) -> View[Address]:
        return _OWNER_OF.view(one(Address), self.address, token_id)

    def register(self, name: str, endpoint: str, certificate: bytes, transport_key: bytes, roles: int, gate_data: bytes) -> Call:
        return _REGISTER.call(self.address, name, endpoint, certificate, transport_key, roles, gate_data)

    def safe_transfer_from(self, from_: Address, to: Address, token_id: int) -> Call:
        return _SAFE_TRANSFER_FROM.call(self.address, from_, to, token_id)

    def safe_transfer_from_with_data(self, from_: Address, to: Address, token_id: int, data: bytes) -> Call:
        return _SAFE_TRANSFER_FROM_WITH_DATA.call(self.address, from_, to, token_id, data)

    def set_approval_for_all(self, operator: Address, approved: bool) -> Call:
        return _SET_APPROVAL_FOR_ALL.call(self.address, operator, approved)

    def set_operator(self, operator: Address) -> Call:
        return _SET_OPERATOR.call(self.address, operator)

    def set_roles(self, roles: int, gate_data: bytes) -> Call:
        return _SET_ROLES.call(self.address, roles, gate_data)

    def supports_interface(self, interface_id: bytes) -> View[bool]:
        return _SUPPORTS_INTERFACE.view(one(bool), self.address, interface_id)

    def symbol(self) -> View[str]:
        return _SYMBOL.view(one(str), self.address)

    def token_uri(self, token_id: int) -> View[str]:
        return _TOKEN_URI.view(one(str), self.address, token_id)

    def transfer_from(self, from_: Address, to: Address, token_id: int) -> Call:
        return _TRANSFER_FROM.call(self.address, from_, to, token_id)

    def update(self, endpoint: str, certificate: bytes, transport_key: bytes) -> Call:
        return _UPDATE.call(self.address, endpoint, certificate, transport_key)

    def vault(self) -> View[Address]:
        return _VAULT.view(one(Address), self.address)
