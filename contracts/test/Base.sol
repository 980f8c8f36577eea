// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {Clock} from "../src/Clock.sol";
import {HansaToken} from "../src/HansaToken.sol";

interface Vm {
    function warp(uint256 timestamp) external;
    function prank(address sender) external;
    function expectRevert(bytes calldata data) external;
}

/// @dev What every test starts from: a token that the test holds, and a clock.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 internal constant SUPPLY = 1e30;
    uint40 internal constant START = 1_700_000_000;
    uint40 internal constant MAX_GAP = 1 days;

    ERC20Burnable internal token;
    Clock internal clock;

    constructor() {
        vm.warp(START);
        token = new HansaToken("hansa", "HSA", SUPPLY, address(this), SUPPLY, address(0));
        clock = new Clock(MAX_GAP);
    }

    function bound(uint256 x, uint256 min, uint256 max) internal pure returns (uint256) {
        return min + (x % (max - min + 1));
    }
}
