// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title Who may take part: the one switch between a permissionless and a permissioned network.
interface IGate {
    /// @notice Whether `account` may register for `role` with the proof `data` (its meaning is the gate's).
    function isAllowed(address account, uint8 role, bytes calldata data) external view returns (bool);

    /// @notice Whether an admission given earlier has been taken back; asked again at every enrolment.
    function isRevoked(address account, uint8 role) external view returns (bool);
}

/// @title A gate that admits everyone.
contract OpenGate is IGate {
    /// @inheritdoc IGate
    function isAllowed(address, uint8, bytes calldata) external pure returns (bool) {
        return true;
    }

    /// @inheritdoc IGate
    function isRevoked(address, uint8) external pure returns (bool) {
        return false;
    }
}

/// @title A gate that admits accounts its owner listed for a role.
contract ListGate is IGate, Ownable2Step {
    /// @notice Bit r is set when the account may take role r.
    mapping(address account => uint16 mask) public rolesOf;

    event Listed(address indexed account, uint16 roles);

    constructor(address owner) Ownable(owner) {}

    /// @notice Lists each account for exactly the roles of `mask`; zero takes it off. Owner only.
    function list(address[] calldata accounts, uint16 mask) external onlyOwner {
        for (uint256 i = 0; i < accounts.length; i++) {
            rolesOf[accounts[i]] = mask;
            emit Listed(accounts[i], mask);
        }
    }

    /// @inheritdoc IGate
    function isAllowed(address account, uint8 role, bytes calldata) external view returns (bool) {
        return _listed(account, role);
    }

    /// @inheritdoc IGate
    function isRevoked(address account, uint8 role) external view returns (bool) {
        return !_listed(account, role);
    }

    function _listed(address account, uint8 role) private view returns (bool) {
        return rolesOf[account] & (uint256(1) << role) != 0;
    }
}
