// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// @title What every contract that holds tokens shares: exact deposits, pull credit, and the sum it owes.
/// @notice `owed` is the B0 invariant made readable: the token balance never falls below it.
abstract contract Purse is ReentrancyGuard {
    using SafeERC20 for ERC20Burnable;

    ERC20Burnable public immutable token;
    /// @notice Tokens (smallest unit) an account may collect.
    mapping(address account => uint256 amount) public credit;
    /// @notice Tokens (smallest unit) this contract owes in any form: escrow, bonds, stake, credit.
    uint256 public owed;

    event Credited(address indexed account, uint256 amount);
    event Collected(address indexed account, uint256 amount);
    event Burned(uint256 amount);

    error NothingToCollect(address account);
    error DepositMismatch(uint256 expected, uint256 received);

    constructor(ERC20Burnable token_) {
        token = token_;
    }

    /// @notice Pays the caller's whole credit out. Reverts with NothingToCollect when there is none.
    function collect() external nonReentrant returns (uint256 amount) {
        amount = credit[msg.sender];
        if (amount == 0) revert NothingToCollect(msg.sender);
        credit[msg.sender] = 0;
        emit Collected(msg.sender, amount);
        _pay(msg.sender, amount);
    }

    /// @dev Takes tokens in; a token that charges a fee on transfer is refused by the balance check.
    function _pull(address from, uint256 amount) internal {
        owed += amount;
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert DepositMismatch(amount, received);
    }

    /// @dev Turns tokens that are already owed in another form into credit.
    function _credit(address account, uint256 amount) internal {
        if (amount == 0) return;
        credit[account] += amount;
        emit Credited(account, amount);
    }

    function _pay(address to, uint256 amount) internal {
        owed -= amount;
        token.safeTransfer(to, amount);
    }

    function _burn(uint256 amount) internal {
        if (amount == 0) return;
        owed -= amount;
        emit Burned(amount);
        token.burn(amount);
    }
}
