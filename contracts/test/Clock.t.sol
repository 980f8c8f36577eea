// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base} from "./Base.sol";

contract ClockTest is Base {
    /// Protocol time is the sum of the gaps that count, whatever the gaps are.
    function testFuzz_time_is_the_sum_of_short_gaps(uint32[16] calldata gaps) external {
        uint256 now_ = START;
        uint256 expected = START;
        for (uint256 i = 0; i < gaps.length; i++) {
            uint256 gap = gaps[i] % (3 * uint256(MAX_GAP));
            now_ += gap;
            vm.warp(now_);
            if (gap <= MAX_GAP) expected += gap;
            require(clock.time() == expected, "view before the tick");
            require(clock.tick() == expected, "tick");
            require(clock.time() == expected, "view after the tick");
        }
    }

    /// Ticking more often never makes more time pass.
    function testFuzz_extra_ticks_change_nothing_within_the_bound(uint32 gap, uint8 ticks) external {
        uint256 whole = gap % (uint256(MAX_GAP) + 1);
        for (uint256 i = 1; i <= ticks; i++) {
            vm.warp(START + (whole * i) / ticks);
            clock.tick();
        }
        vm.warp(START + whole);
        require(clock.time() == START + whole, "time");
    }
}
