// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IGate} from "./Gate.sol";
import {StakeVault} from "./StakeVault.sol";

/// @title Nodes: who they are, where they are reached, what they may do, and which hot key speaks for them (R18).
/// @notice One ERC-721 token per node and one node per account. Stake and jobs belong to the account, not to the key.
contract NodeRegistry is ERC721 {
    uint256 public constant MAX_NAME = 64;
    uint256 public constant MAX_ENDPOINT = 256;
    uint8 public constant TRAINER = 1;
    uint8 public constant COORDINATOR = 2;
    uint8 public constant VERIFIER = 3;
    uint8 public constant SERVER = 4;
    uint8 public constant CUSTODIAN = 5;
    uint8 public constant MAX_ROLE = 15;

    struct Node {
        string name;
        string endpoint;
        bytes32 certificate;
        bytes32 transportKey;
        uint16 roles;
        address operator;
        address proposed;
    }

    IGate public immutable gate;
    StakeVault public immutable vault;
    uint256 public count;
    /// @notice The node of an account, 0 for none.
    mapping(address account => uint256 node) public idOf;
    mapping(uint256 node => Node) private _nodes;
    mapping(address key => uint256 node) private _operated;

    event NodeRegistered(
        uint256 indexed node,
        address indexed account,
        string name,
        string endpoint,
        bytes32 certificate,
        bytes32 transportKey,
        uint16 roles
    );
    event NodeUpdated(uint256 indexed node, string endpoint, bytes32 certificate, bytes32 transportKey);
    event RolesSet(uint256 indexed node, uint16 roles);
    event OperatorProposed(uint256 indexed node, address indexed operator);
    event OperatorSet(uint256 indexed node, address indexed operator);

    error AlreadyRegistered(address account);
    error NotRegistered(address account);
    error NotAdmitted(address account, uint8 role);
    error TextTooLong(uint256 length, uint256 max);
    error UnknownRoles(uint16 roles);
    error KeyInUse(address key);
    error NotProposed(address operator, address account);
    error StakeLocked(address account, uint256 locked);

    constructor(IGate gate_, StakeVault vault_) ERC721("hansa node", "NODE") {
        gate = gate_;
        vault = vault_;
    }

    /// @notice Registers the caller's node. `certificate` is the hash of its TLS certificate, `roles` has bit r for
    /// role r, `gateData` is what the gate asks for. Reverts with AlreadyRegistered, NotAdmitted, KeyInUse, TextTooLong.
    function register(
        string calldata name,
        string calldata endpoint,
        bytes32 certificate,
        bytes32 transportKey,
        uint16 roles,
        bytes calldata gateData
    ) external returns (uint256 node) {
        if (idOf[msg.sender] != 0) revert AlreadyRegistered(msg.sender);
        if (_operated[msg.sender] != 0) revert KeyInUse(msg.sender);
        _checkLength(bytes(name).length, MAX_NAME);
        _checkLength(bytes(endpoint).length, MAX_ENDPOINT);
        _checkRoles(msg.sender, roles, gateData);
        node = ++count;
        _nodes[node] = Node(name, endpoint, certificate, transportKey, roles, address(0), address(0));
        // No callback to the receiver: a contract account must be able to register without being an ERC-721 receiver.
        _mint(msg.sender, node);
        emit NodeRegistered(node, msg.sender, name, endpoint, certificate, transportKey, roles);
    }

    /// @notice Changes where the caller's node (as account or operator) is reached and by which keys.
    function update(string calldata endpoint, bytes32 certificate, bytes32 transportKey) external {
        uint256 id = _require(accountOf(msg.sender));
        _checkLength(bytes(endpoint).length, MAX_ENDPOINT);
        Node storage node = _nodes[id];
        node.endpoint = endpoint;
        node.certificate = certificate;
        node.transportKey = transportKey;
        emit NodeUpdated(id, endpoint, certificate, transportKey);
    }

    /// @notice Asks the gate for another set of roles. Account only.
    function setRoles(uint16 roles, bytes calldata gateData) external {
        uint256 id = _require(msg.sender);
        _checkRoles(msg.sender, roles, gateData);
        _nodes[id].roles = roles;
        emit RolesSet(id, roles);
    }

    /// @notice Takes the hot key away at once and names a new one (zero: none), which must accept. Account only.
    function setOperator(address operator) external {
        uint256 id = _require(msg.sender);
        _clearOperator(id);
        _nodes[id].proposed = operator;
        emit OperatorProposed(id, operator);
    }

    /// @notice The named key agrees to speak for `account`; without this consent an account could capture another's
    /// calls. Reverts with NotProposed, or KeyInUse when the caller is an account or another account's operator.
    function acceptOperator(address account) external {
        uint256 id = _require(account);
        if (_nodes[id].proposed != msg.sender) revert NotProposed(msg.sender, account);
        if (idOf[msg.sender] != 0 || _operated[msg.sender] != 0) revert KeyInUse(msg.sender);
        _nodes[id].proposed = address(0);
        _nodes[id].operator = msg.sender;
        _operated[msg.sender] = id;
        emit OperatorSet(id, msg.sender);
    }

    /// @notice The account an operator key speaks for, or the key itself.
    function accountOf(address key) public view returns (address) {
        uint256 id = _operated[key];
        return id == 0 ? key : ownerOf(id);
    }

    /// @notice The record of `account`'s node. Reverts with NotRegistered.
    function nodeOf(address account) external view returns (Node memory) {
        return _nodes[_require(account)];
    }

    /// @notice Whether `account` registered for `role` and the gate has not revoked it since.
    function hasRole(address account, uint8 role) external view returns (bool) {
        uint256 id = idOf[account];
        return id != 0 && _nodes[id].roles & (uint256(1) << role) != 0 && !gate.isRevoked(account, role);
    }

    /// @dev Locked stake would outlive the identity that backs it, and an admission is personal: a transfer needs
    /// free stake, and leaves the new owner without roles and operator.
    function _update(address to, uint256 id, address auth) internal override returns (address from) {
        from = super._update(to, id, auth);
        if (idOf[to] != 0) revert AlreadyRegistered(to);
        if (from != address(0)) {
            if (_operated[to] != 0) revert KeyInUse(to);
            uint256 held = vault.locked(from);
            if (held != 0) revert StakeLocked(from, held);
            delete idOf[from];
            _clearOperator(id);
            _nodes[id].roles = 0;
            emit RolesSet(id, 0);
        }
        idOf[to] = id;
    }

    function _clearOperator(uint256 id) private {
        address operator = _nodes[id].operator;
        if (operator != address(0)) {
            delete _operated[operator];
            _nodes[id].operator = address(0);
            emit OperatorSet(id, address(0));
        }
        _nodes[id].proposed = address(0);
    }

    function _require(address account) private view returns (uint256 id) {
        id = idOf[account];
        if (id == 0) revert NotRegistered(account);
    }

    function _checkRoles(address account, uint16 roles, bytes calldata gateData) private view {
        if (roles == 0 || roles & 1 != 0) revert UnknownRoles(roles);
        for (uint8 role = 1; role <= MAX_ROLE; role++) {
            if (roles & (uint256(1) << role) != 0 && !gate.isAllowed(account, role, gateData)) {
                revert NotAdmitted(account, role);
            }
        }
    }

    function _checkLength(uint256 length, uint256 max) private pure {
        if (length > max) revert TextTooLong(length, max);
    }
}
