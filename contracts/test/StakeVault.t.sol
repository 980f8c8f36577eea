// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {StakeVault} from "../src/StakeVault.sol";
import {Base, Vm} from "./Base.sol";

/// @dev Three people and one service that do anything at any time; ghosts remember what the sums must be.
contract Stakers {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    StakeVault public immutable vault;
    ERC20Burnable public immutable token;
    address[3] public people = [address(0xA1), address(0xA2), address(0xA3)];
    uint256 public deposited;
    uint256 public collected;
    uint256 public burned;
    uint256 private now_;

    constructor(StakeVault vault_, ERC20Burnable token_, uint256 start) {
        vault = vault_;
        token = token_;
        now_ = start;
    }

    function who(uint256 seed) public view returns (address) {
        return people[seed % 3];
    }

    function stake(uint256 seed, uint256 amount) external {
        amount = 1 + (amount % 1e24);
        token.approve(address(vault), amount);
        vault.stakeFor(who(seed), amount);
        deposited += amount;
    }

    function consent(uint256 seed, bool allowed) external {
        vm.prank(who(seed));
        vault.setService(address(this), allowed);
    }

    function lock(uint256 seed, uint8 claim, uint256 amount, uint32 until) external {
        amount = amount % (vault.freeOf(who(seed)) + 2);
        vault.lock(who(seed), bytes32(uint256(claim % 8)), amount, vault.clock().time() + (until % 30 days));
    }

    function release(uint8 claim) external {
        vault.release(bytes32(uint256(claim % 8)));
    }

    function releaseExpired(uint8 claim) external {
        vault.releaseExpired(address(this), bytes32(uint256(claim % 8)));
    }

    function slash(uint8 claim, uint256 amount, uint256 victim, uint256 finder) external {
        address finds = finder % 2 == 0 ? address(0) : who(finder);
        uint256 before = token.totalSupply();
        vault.slash(bytes32(uint256(claim % 8)), amount % 2e24, who(victim), finds);
        burned += before - token.totalSupply();
    }

    function thaw(uint256 seed, uint256 amount) external {
        amount = amount % (vault.freeOf(who(seed)) + 2);
        vm.prank(who(seed));
        vault.thaw(amount);
    }

    function withdraw(uint256 seed) external {
        vm.prank(who(seed));
        vault.withdraw();
    }

    function collect(uint256 seed) external {
        vm.prank(who(seed));
        collected += vault.collect();
    }

    /// @dev A day at a time: a longer pause between two ticks would not count.
    function pass(uint8 steps, uint32 time) external {
        for (uint256 i = 0; i <= steps % 12; i++) {
            now_ += time % (1 days + 1);
            vm.warp(now_);
            vault.clock().tick();
        }
    }
}

contract StakeVaultTest is Base {
    StakeVault private vault;
    Stakers private stakers;

    constructor() {
        vault = new StakeVault(token, clock, 3 days);
        stakers = new Stakers(vault, token, START);
        token.transfer(address(stakers), SUPPLY / 2);
        for (uint256 i = 0; i < 3; i++) {
            vm.prank(stakers.people(i));
            vault.setService(address(stakers), true);
        }
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(stakers);
    }

    function invariant_the_vault_holds_exactly_what_it_owes() external view {
        require(token.balanceOf(address(vault)) == vault.owed(), "balance");
        require(stakers.deposited() == vault.owed() + stakers.collected() + stakers.burned(), "conservation");
    }

    function invariant_owed_is_stake_and_credit() external view {
        uint256 sum;
        for (uint256 i = 0; i < 3; i++) sum += vault.staked(stakers.people(i)) + vault.credit(stakers.people(i));
        require(sum == vault.owed(), "sum");
    }

    function invariant_locked_and_thawing_never_exceed_stake() external view {
        uint256 allLocked;
        for (uint256 i = 0; i < 3; i++) {
            address one = stakers.people(i);
            require(vault.locked(one) + vault.thawing(one) <= vault.staked(one), "free");
            uint256 thaws;
            StakeVault.Thaw[] memory list = vault.thawsOf(one);
            for (uint256 k = 0; k < list.length; k++) thaws += list[k].amount;
            require(thaws == vault.thawing(one) && list.length <= 8, "thaws");
            allLocked += vault.locked(one);
        }
        uint256 locks;
        for (uint256 claim = 0; claim < 8; claim++) {
            (,, uint256 amount) = vault.locks(address(stakers), bytes32(claim));
            locks += amount;
        }
        require(locks == allLocked, "locks");
    }

    /// The three shares of any slash add up to what was taken.
    function testFuzz_a_slash_is_split_without_loss(uint256 staked, uint256 taken, bool withFinder) external {
        staked = bound(staked, 1, 1e27);
        taken = bound(taken, 1, 2e27);
        address staker = address(0xB1);
        token.approve(address(vault), staked);
        vault.stakeFor(staker, staked);
        vm.prank(staker);
        vault.setService(address(this), true);
        vault.lock(staker, "claim", staked, START + 1);
        uint256 supply = token.totalSupply();
        uint256 got = vault.slash("claim", taken, address(0xB2), withFinder ? address(0xB3) : address(0));
        require(got == (taken < staked ? taken : staked), "taken");
        uint256 shares = vault.credit(address(0xB2)) + vault.credit(address(0xB3)) + (supply - token.totalSupply());
        require(shares == got, "split");
        require(vault.credit(address(0xB2)) == (got * 4) / 10, "victim");
        require(vault.staked(staker) == staked - got && vault.locked(staker) == staked - got, "left");
    }
}
