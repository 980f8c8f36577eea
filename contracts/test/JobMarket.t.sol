// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {JobMarket} from "../src/JobMarket.sol";
import {Base, Vm} from "./Base.sol";

/// @dev A client with jobs of every kind, and their provider and evaluator.
contract Traders {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address public constant PROVIDER = address(0xC1);
    address public constant EVALUATOR = address(0xC2);
    JobMarket public immutable market;
    ERC20Burnable public immutable token;
    uint256 public deposited;
    uint256 public collected;
    uint256 public immutable supply;
    uint256 private now_;

    constructor(JobMarket market_, ERC20Burnable token_, uint256 start) {
        market = market_;
        token = token_;
        supply = token_.totalSupply();
        now_ = start;
    }

    function createFunded(uint256 budget, uint8 n, uint32 life) external {
        if (market.count() > 24) return;
        n = 1 + (n % 4);
        budget = 1 + (budget % 1e24);
        string[] memory names = new string[](n);
        uint256[] memory budgets = new uint256[](n);
        for (uint256 i = 0; i < n; i++) budgets[i] = budget + i;
        token.approve(address(market), type(uint256).max);
        uint256 before = market.owed();
        market.createFunded(PROVIDER, EVALUATOR, market.clock().time() + (life % 10 days), names, budgets);
        deposited += market.owed() - before;
    }

    function submit(uint256 job) external {
        job = _pick(job); // before the prank: it reads the market
        vm.prank(PROVIDER);
        market.submit(job, "work", "");
    }

    function complete(uint256 job) external {
        job = _pick(job); // before the prank: it reads the market
        vm.prank(EVALUATOR);
        market.complete(job, "good", "");
    }

    function reject(uint256 job) external {
        job = _pick(job); // before the prank: it reads the market
        vm.prank(EVALUATOR);
        market.reject(job, "bad", "");
    }

    function claimRefund(uint256 job) external {
        market.claimRefund(_pick(job));
    }

    function finalize(uint256 job) external {
        market.finalize(_pick(job));
    }

    function collect(uint8 seed) external {
        vm.prank(seed % 3 == 0 ? PROVIDER : seed % 3 == 1 ? address(this) : market.treasury());
        collected += market.collect();
    }

    /// @dev A day at a time: a longer pause between two ticks would not count.
    function pass(uint8 steps, uint32 time) external {
        for (uint256 i = 0; i <= steps % 12; i++) {
            now_ += time % (1 days + 1);
            vm.warp(now_);
            market.clock().tick();
        }
    }

    function _pick(uint256 seed) private view returns (uint256) {
        return 1 + (seed % (market.count() + 1));
    }
}

contract JobMarketTest is Base {
    address private constant TREASURY = address(0xC3);
    JobMarket private market;
    Traders private traders;

    constructor() {
        market = new JobMarket(token, clock, TREASURY, 300);
        traders = new Traders(market, token, START);
        token.transfer(address(traders), SUPPLY / 2);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(traders);
    }

    function invariant_the_market_holds_exactly_what_it_owes() external view {
        require(token.balanceOf(address(market)) == market.owed(), "balance");
        uint256 burned = traders.supply() - token.totalSupply();
        require(traders.deposited() == market.owed() + traders.collected() + burned, "conservation");
    }

    function invariant_owed_is_escrow_and_credit() external view {
        uint256 sum = market.credit(traders.PROVIDER()) + market.credit(TREASURY) + market.credit(address(traders));
        for (uint256 job = 1; job <= market.count(); job++) {
            (,,, uint256 budget,, JobMarket.Status status) = market.summary(job);
            if (status == JobMarket.Status.Funded || status == JobMarket.Status.Submitted) sum += budget;
        }
        require(sum == market.owed(), "sum");
    }

    /// Provider, treasury and fire together get exactly the budget, and the provider 97 % of it or the next unit above.
    function testFuzz_a_budget_is_split_without_loss(uint256 budget) external {
        budget = bound(budget, 1, 1e29);
        token.approve(address(market), budget);
        string[] memory names = new string[](1);
        uint256[] memory budgets = new uint256[](1);
        budgets[0] = budget;
        uint256 job = market.createFunded(address(0xD1), address(this), START + 1, names, budgets);
        vm.prank(address(0xD1));
        market.submit(job, "work", "");
        uint256 supply = token.totalSupply();
        market.complete(job, "good", "");
        uint256 burned = supply - token.totalSupply();
        uint256 net = market.credit(address(0xD1));
        require(net + market.credit(TREASURY) + burned == budget, "split");
        require(net == market.netOf(budget) && net * 10_000 >= budget * 9_700, "net");
        require(market.credit(TREASURY) - burned <= 1, "halves");
    }
}
