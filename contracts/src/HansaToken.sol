// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The network's token: ERC-20 with a cap, burning and ERC-2612 permits.
/// @notice Neither the cap nor the minter can ever change.
contract HansaToken is ERC20, ERC20Burnable, ERC20Capped, ERC20Permit {
    /// @notice The only account that may mint; the zero address means nobody may.
    address public immutable minter;

    error NotMinter(address caller);
    error CapTooLarge(uint256 cap, uint256 max);

    /// @param holder receives the whole initial supply.
    /// @param cap most tokens there can ever be, in the smallest unit, below 2^128.
    /// @param supply initial supply in the smallest unit, at most `cap`.
    constructor(string memory name, string memory symbol, uint256 cap, address holder, uint256 supply, address minter_)
        ERC20(name, symbol)
        ERC20Capped(cap)
        ERC20Permit(name)
    {
        // The other contracts pack amounts into 128 bits.
        if (cap > type(uint128).max) revert CapTooLarge(cap, type(uint128).max);
        minter = minter_;
        _mint(holder, supply);
    }

    /// @notice Mints `amount` (smallest unit) to `to`. Reverts with NotMinter, or ERC20ExceededCap above the cap.
    function mint(address to, uint256 amount) external {
        if (msg.sender != minter) revert NotMinter(msg.sender);
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped) {
        super._update(from, to, value);
    }
}
