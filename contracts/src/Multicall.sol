// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Many reads in one request, all answered at the same block.
/// @notice Only static calls, so nothing can be changed or taken through it.
contract Multicall {
    struct Call {
        address target;
        bytes data;
    }

    struct Result {
        bool success;
        bytes data;
    }

    /// @notice Answers every call in order with the block they were read at; a failing one does not fail the others.
    function aggregate(Call[] calldata calls)
        external
        view
        returns (uint256 number, uint256 timestamp, Result[] memory results)
    {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory data) = calls[i].target.staticcall(calls[i].data);
            results[i] = Result(success, data);
        }
        return (block.number, block.timestamp, results);
    }
}
