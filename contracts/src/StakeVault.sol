// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {Clock} from "./Clock.sol";
import {Purse} from "./Purse.sol";

/// @title Stake: what an account puts at risk, which service may take it, and how it leaves again.
/// @notice free = staked - locked - thawing. A service touches only what the account let it lock.
contract StakeVault is Purse {
    uint256 public constant MAX_THAWS = 8;
    uint40 public constant MAX_THAW_DELAY = 90 days;
    /// @notice No lock may end later than this many seconds from now, whatever the service asks.
    uint40 public constant MAX_LOCK = 800 days;
    uint256 public constant VICTIM_BPS = 4_000;
    uint256 public constant FINDER_BPS = 2_000;

    struct Lock {
        address account;
        uint40 until;
        uint256 amount;
    }

    struct Thaw {
        uint216 amount;
        uint40 matures;
    }

    Clock public immutable clock;
    /// @notice Seconds between a thaw request and its withdrawal.
    uint40 public immutable thawDelay;

    mapping(address account => uint256) public staked;
    mapping(address account => uint256) public locked;
    mapping(address account => uint256) public thawing;
    mapping(address account => mapping(address service => bool)) public serviceAllowed;
    mapping(address service => mapping(bytes32 claim => Lock)) public locks;
    mapping(address account => Thaw[]) private _thaws;

    event Staked(address indexed account, address indexed from, uint256 amount);
    event ServiceSet(address indexed account, address indexed service, bool allowed);
    event Locked(address indexed service, bytes32 indexed claim, address indexed account, uint256 amount, uint40 until);
    event Released(address indexed service, bytes32 indexed claim, address indexed account, uint256 amount);
    event Slashed(
        address indexed service,
        bytes32 indexed claim,
        address indexed account,
        uint256 toVictim,
        uint256 toFinder,
        uint256 burned
    );
    event Thawing(address indexed account, uint256 amount, uint40 matures);
    event Withdrawn(address indexed account, uint256 amount);

    error ZeroAmount();
    error DelayOutOfBounds(uint40 given, uint40 max);
    error ServiceNotAllowed(address account, address service);
    error ClaimTaken(address service, bytes32 claim);
    error InsufficientFree(address account, uint256 asked, uint256 free);
    error LockOutOfBounds(uint40 until, uint40 min, uint40 max);
    error LockRunning(address service, bytes32 claim, uint40 until);
    error TooManyThaws(address account, uint256 max);
    error NothingMatured(address account);

    /// @param thawDelay_ seconds, at most MAX_THAW_DELAY.
    constructor(ERC20Burnable token_, Clock clock_, uint40 thawDelay_) Purse(token_) {
        if (thawDelay_ > MAX_THAW_DELAY) revert DelayOutOfBounds(thawDelay_, MAX_THAW_DELAY);
        clock = clock_;
        thawDelay = thawDelay_;
    }

    /// @notice Stakes `amount` of the caller's tokens. Reverts with ZeroAmount or the token's own errors.
    function stake(uint256 amount) external nonReentrant {
        _stake(msg.sender, amount);
    }

    /// @notice Stakes `amount` of the caller's tokens for `account`, which owns them from then on.
    function stakeFor(address account, uint256 amount) external nonReentrant {
        _stake(account, amount);
    }

    /// @notice Lets `service` lock the caller's free stake, or stops it from making new locks; existing ones stay.
    function setService(address service, bool allowed) external {
        serviceAllowed[msg.sender][service] = allowed;
        emit ServiceSet(msg.sender, service, allowed);
    }

    /// @notice Locks `amount` of `account`'s free stake under the calling service's name `claim` until `until`
    /// (protocol time). Reverts with ServiceNotAllowed, ClaimTaken, ZeroAmount, LockOutOfBounds or InsufficientFree.
    function lock(address account, bytes32 claim, uint256 amount, uint40 until) external nonReentrant {
        uint40 time_ = clock.tick();
        if (!serviceAllowed[account][msg.sender]) revert ServiceNotAllowed(account, msg.sender);
        if (amount == 0) revert ZeroAmount();
        if (until <= time_ || until > time_ + MAX_LOCK) revert LockOutOfBounds(until, time_ + 1, time_ + MAX_LOCK);
        Lock storage held = locks[msg.sender][claim];
        if (held.amount != 0) revert ClaimTaken(msg.sender, claim);
        uint256 free = freeOf(account);
        if (amount > free) revert InsufficientFree(account, amount, free);
        locked[account] += amount;
        locks[msg.sender][claim] = Lock(account, until, amount);
        emit Locked(msg.sender, claim, account, amount, until);
    }

    /// @notice Returns the calling service's lock to free stake; answers the amount, 0 when there is no such lock.
    function release(bytes32 claim) external nonReentrant returns (uint256 amount) {
        return _release(msg.sender, claim);
    }

    /// @notice The same for anyone once the lock's time is over. Reverts with LockRunning before.
    function releaseExpired(address service, bytes32 claim) external nonReentrant returns (uint256 amount) {
        uint40 time_ = clock.tick();
        uint40 until = locks[service][claim].until;
        if (time_ < until) revert LockRunning(service, claim, until);
        return _release(service, claim);
    }

    /// @notice Takes up to `amount` of the calling service's lock: 40 % credited to `victim`, 20 % to `finder`, the
    /// rest burnt; the share of a zero victim or finder is burnt too (R15). Answers what was taken, 0 without a lock.
    function slash(bytes32 claim, uint256 amount, address victim, address finder)
        external
        nonReentrant
        returns (uint256 taken)
    {
        Lock storage held = locks[msg.sender][claim];
        taken = amount < held.amount ? amount : held.amount;
        if (taken == 0) return 0;
        address account = held.account;
        held.amount -= taken;
        locked[account] -= taken;
        staked[account] -= taken;
        uint256 toVictim = victim == address(0) ? 0 : (taken * VICTIM_BPS) / 10_000;
        uint256 toFinder = finder == address(0) ? 0 : (taken * FINDER_BPS) / 10_000;
        uint256 burned = taken - toVictim - toFinder;
        emit Slashed(msg.sender, claim, account, toVictim, toFinder, burned);
        _credit(victim, toVictim);
        _credit(finder, toFinder);
        _burn(burned);
    }

    /// @notice Asks for `amount` of free stake back; it matures after the thaw delay.
    /// Reverts with ZeroAmount, InsufficientFree, or TooManyThaws above eight requests.
    function thaw(uint256 amount) external nonReentrant {
        uint40 matures = clock.tick() + thawDelay;
        if (amount == 0) revert ZeroAmount();
        uint256 free = freeOf(msg.sender);
        if (amount > free) revert InsufficientFree(msg.sender, amount, free);
        if (_thaws[msg.sender].length == MAX_THAWS) revert TooManyThaws(msg.sender, MAX_THAWS);
        thawing[msg.sender] += amount;
        // A deposit is bounded by the token's supply, far below 2^216.
        _thaws[msg.sender].push(Thaw(uint216(amount), matures));
        emit Thawing(msg.sender, amount, matures);
    }

    /// @notice Turns the caller's matured requests into credit. Reverts with NothingMatured.
    function withdraw() external nonReentrant returns (uint256 amount) {
        uint40 time_ = clock.tick();
        Thaw[] storage list = _thaws[msg.sender];
        // Requests mature in the order they were made, so the matured ones are a prefix of at most eight.
        uint256 done;
        while (done < list.length && list[done].matures <= time_) amount += list[done++].amount;
        if (done == 0) revert NothingMatured(msg.sender);
        for (uint256 i = done; i < list.length; i++) list[i - done] = list[i];
        for (uint256 i = 0; i < done; i++) list.pop();
        thawing[msg.sender] -= amount;
        staked[msg.sender] -= amount;
        _credit(msg.sender, amount);
        emit Withdrawn(msg.sender, amount);
    }

    /// @notice Stake of `account` that is neither locked nor thawing.
    function freeOf(address account) public view returns (uint256) {
        return staked[account] - locked[account] - thawing[account];
    }

    /// @notice Open thaw requests of `account`, oldest first.
    function thawsOf(address account) external view returns (Thaw[] memory) {
        return _thaws[account];
    }

    function _stake(address account, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        staked[account] += amount;
        emit Staked(account, msg.sender, amount);
        _pull(msg.sender, amount);
    }

    function _release(address service, bytes32 claim) private returns (uint256 amount) {
        Lock memory held = locks[service][claim];
        delete locks[service][claim];
        amount = held.amount;
        if (amount == 0) return 0;
        locked[held.account] -= amount;
        emit Released(service, claim, held.account, amount);
    }
}
