"""`ModelRegistry`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one
from hansa.chain.bindings import structs
from hansa.core.ports import Call
from hansa.core.types import Address

_MAX_PARENTS = Function("MAX_PARENTS()", "(uint256)")
_MAX_URI = Function("MAX_URI()", "(uint256)")
_APPROVE = Function("approve(address,uint256)")
_APPROVE_VERSION = Function("approveVersion(uint256,bytes32)")
_BALANCE_OF = Function("balanceOf(address)", "(uint256)")
_COUNT = Function("count()", "(uint256)")
_DEPRECATE = Function("deprecate(uint256,bytes32)")
_GET_APPROVED = Function("getApproved(uint256)", "(address)")
_IS_APPROVED = Function("isApproved(uint256,bytes32)", "(bool)")
_IS_APPROVED_FOR_ALL = Function("isApprovedForAll(address,address)", "(bool)")
_MODEL_OF = Function("modelOf(uint256)", "((bytes32,address,string))")
_NAME = Function("name()", "(string)")
_OWNER_OF = Function("ownerOf(uint256)", "(address)")
_PROPOSE = Function("propose(uint256,bytes32)")
_PUBLISH_VERSION = Function("publishVersion(uint256,bytes32,bytes32[],bytes32,bytes32,string)")
_REGISTER_MODEL = Function("registerModel(bytes32,string)", "(uint256)")
_REVOKE = Function("revoke(uint256,bytes32)")
_SAFE_TRANSFER_FROM = Function("safeTransferFrom(address,address,uint256)")
_SAFE_TRANSFER_FROM_WITH_DATA = Function("safeTransferFrom(address,address,uint256,bytes)")
_SET_APPROVAL_FOR_ALL = Function("setApprovalForAll(address,bool)")
_SET_APPROVER = Function("setApprover(uint256,address)")
_SUPPORTS_INTERFACE = Function("supportsInterface(bytes4)", "(bool)")
_SYMBOL = Function("symbol()", "(string)")
_TOKEN_URI = Function("tokenURI(uint256)", "(string)")
_TRANSFER_FROM = Function("transferFrom(address,address,uint256)")
_VERSION_OF = Function("versionOf(uint256,bytes32)", "((uint8,address,bytes32,bytes32,bytes32[],string))")


class ModelRegistry:
    def __init__(self, address: Address) -> None:
        self.address = address

    def max_parents(self) -> View[int]:
        return _MAX_PARENTS.view(one(int), self.address)

    def max_uri(self) -> View[int]:
        return _MAX_URI.view(one(int), self.address)

    def approve(self, to: Address, token_id: int) -> Call:
        return _APPROVE.call(self.address, to, token_id)

    def approve_version(self, model: int, artifact: bytes) -> Call:
        return _APPROVE_VERSION.call(self.address, model, artifact)

    def balance_of(self, owner: Address) -> View[int]:
        return _BALANCE_OF.view(one(int), self.address, owner)

    def count(self) -> View[int]:
        return _COUNT.view(one(int), self.address)

    def deprecate(self, model: int, artifact: bytes) -> Call:
        return _DEPRECATE.call(self.address, model, artifact)

    def get_approved(self, token_id: int) -> View[Address]:
        return _GET_APPROVED.view(one(Address), self.address, token_id)

    def is_approved(self, model: int, artifact: bytes) -> View[bool]:
        return _IS_APPROVED.view(one(bool), self.address, model, artifact)

    def is_approved_for_all(self, owner: Address, operator: Address) -> View[bool]:
        return _IS_APPROVED_FOR_ALL.view(one(bool), self.address, owner, operator)

    def model_of(self, model: int) -> View[structs.Model]:
        return _MODEL_OF.view(one(structs.Model), self.address, model)

    def name(self) -> View[str]:
        return _NAME.view(one(str), self.address)

    def owner_of(self, token_id: int) -> View[Address]:
        return _OWNER_OF.view(one(Address), self.address, token_id)

    def propose(self, model: int, artifact: bytes) -> Call:
        return _PROPOSE.call(self.address, model, artifact)

    def publish_version(
        self, model: int, artifact: bytes, parents: tuple[bytes, ...], training_record: bytes, eval_record: bytes, uri: str
    ) -> Call:
        return _PUBLISH_VERSION.call(self.address, model, artifact, parents, training_record, eval_record, uri)

    def register_model(self, lineage_root: bytes, uri: str) -> Call:
        return _REGISTER_MODEL.call(self.address, lineage_root, uri)

    def revoke(self, model: int, artifact: bytes) -> Call:
        return _REVOKE.call(self.address, model, artifact)

    def safe_transfer_from(self, from_: Address, to: Address, token_id: int) -> Call:
        return _SAFE_TRANSFER_FROM.call(self.address, from_, to, token_id)

    def safe_transfer_from_with_data(self, from_: Address, to: Address, token_id: int, data: bytes) -> Call:
        return _SAFE_TRANSFER_FROM_WITH_DATA.call(self.address, from_, to, token_id, data)

    def set_approval_for_all(self, operator: Address, approved: bool) -> Call:
        return _SET_APPROVAL_FOR_ALL.call(self.address, operator, approved)

    def set_approver(self, model: int, approver: Address) -> Call:
        return _SET_APPROVER.call(self.address, model, approver)

    def supports_interface(self, id: bytes) -> View[bool]:
        return _SUPPORTS_INTERFACE.view(one(bool), self.address, id)

    def symbol(self) -> View[str]:
        return _SYMBOL.view(one(str), self.address)

    def token_uri(self, model: int) -> View[str]:
        return _TOKEN_URI.view(one(str), self.address, model)

    def transfer_from(self, from_: Address, to: Address, token_id: int) -> Call:
        return _TRANSFER_FROM.call(self.address, from_, to, token_id)

    def version_of(self, model: int, artifact: bytes) -> View[structs.Version]:
        return _VERSION_OF.view(one(structs.Version), self.address, model, artifact)
