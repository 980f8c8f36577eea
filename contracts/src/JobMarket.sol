// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {Clock} from "./Clock.sol";
import {Purse} from "./Purse.sol";

/// @title Job escrow with an evaluator, after ERC-8183.
/// @notice Two deliberate differences from the draft: `expiredAt` is protocol time, and a submission on which the
/// evaluator stays silent is paid (`finalize`) instead of refunded.
contract JobMarket is Purse {
    uint256 public constant MAX_FEE_BPS = 1_000;
    uint256 public constant MAX_BATCH = 16;
    uint256 public constant MAX_DESCRIPTION = 1_024;
    uint40 public constant MAX_DURATION = 800 days;

    enum Status {
        Open,
        Funded,
        Submitted,
        Completed,
        Rejected,
        Expired
    }

    struct Job {
        address client;
        uint40 expiredAt;
        Status status;
        address provider;
        address evaluator;
        uint256 budget;
        string description;
    }

    Clock public immutable clock;
    address public immutable treasury;
    /// @notice Share of a completed budget that is the fee; half of it is burnt, half goes to the treasury.
    uint256 public immutable feeBps;
    /// @notice Number of jobs; ids run from 1.
    uint256 public count;
    mapping(uint256 jobId => Job) private _jobs;

    event JobCreated(
        uint256 indexed jobId,
        address indexed client,
        address indexed provider,
        address evaluator,
        uint256 expiredAt
    );
    event ProviderSet(uint256 indexed jobId, address indexed provider);
    event BudgetSet(uint256 indexed jobId, uint256 amount);
    event JobFunded(uint256 indexed jobId, address indexed client, uint256 amount);
    event JobSubmitted(uint256 indexed jobId, address indexed provider, bytes32 deliverable);
    event JobCompleted(uint256 indexed jobId, address indexed evaluator, bytes32 reason);
    event JobRejected(uint256 indexed jobId, address indexed rejector, bytes32 reason);
    event JobExpired(uint256 indexed jobId);
    event PaymentReleased(uint256 indexed jobId, address indexed provider, uint256 amount);
    event Refunded(uint256 indexed jobId, address indexed client, uint256 amount);
    event FeeTaken(uint256 indexed jobId, uint256 burned, uint256 toTreasury);

    error FeeOutOfBounds(uint256 given, uint256 max);
    error ZeroAddress();
    error UnknownJob(uint256 jobId);
    error WrongStatus(uint256 jobId, Status status);
    error NotAuthorised(uint256 jobId, address caller);
    error ExpiryOutOfBounds(uint256 expiredAt, uint40 min, uint40 max);
    error DescriptionTooLong(uint256 length, uint256 max);
    error HookRefused(address hook);
    error ProviderAlreadySet(uint256 jobId, address provider);
    error BudgetMismatch(uint256 jobId, uint256 budget, uint256 expected);
    error ZeroBudget(uint256 jobId);
    error BatchOutOfBounds(uint256 length, uint256 max);
    error BatchLengths(uint256 descriptions, uint256 budgets);
    error PastExpiry(uint256 jobId, uint40 expiredAt);
    error BeforeExpiry(uint256 jobId, uint40 expiredAt);

    /// @param feeBps_ basis points, at most MAX_FEE_BPS.
    constructor(ERC20Burnable token_, Clock clock_, address treasury_, uint256 feeBps_) Purse(token_) {
        if (treasury_ == address(0)) revert ZeroAddress();
        if (feeBps_ > MAX_FEE_BPS) revert FeeOutOfBounds(feeBps_, MAX_FEE_BPS);
        clock = clock_;
        treasury = treasury_;
        feeBps = feeBps_;
    }

    /// @notice Creates a job for the caller; `provider` may be zero and set later, `hook` must be zero.
    /// `expiredAt` is protocol time in seconds. Reverts with ZeroAddress, ExpiryOutOfBounds, HookRefused.
    function createJob(
        address provider,
        address evaluator,
        uint256 expiredAt,
        string calldata description,
        address hook
    ) external nonReentrant returns (uint256 jobId) {
        if (hook != address(0)) revert HookRefused(hook);
        return _create(provider, evaluator, expiredAt, description, clock.tick());
    }

    /// @notice Creates and funds up to 16 jobs with consecutive ids for the caller; answers the first id. All or none.
    function createFunded(
        address provider,
        address evaluator,
        uint256 expiredAt,
        string[] calldata descriptions,
        uint256[] calldata budgets
    ) external nonReentrant returns (uint256 first) {
        uint256 n = descriptions.length;
        if (n == 0 || n > MAX_BATCH) revert BatchOutOfBounds(n, MAX_BATCH);
        if (n != budgets.length) revert BatchLengths(n, budgets.length);
        if (provider == address(0)) revert ZeroAddress();
        uint40 time_ = clock.tick();
        first = count + 1;
        uint256 total;
        for (uint256 i = 0; i < n; i++) {
            uint256 jobId = _create(provider, evaluator, expiredAt, descriptions[i], time_);
            if (budgets[i] == 0) revert ZeroBudget(jobId);
            Job storage job = _jobs[jobId];
            job.budget = budgets[i];
            job.status = Status.Funded;
            total += budgets[i];
            emit BudgetSet(jobId, budgets[i]);
            emit JobFunded(jobId, msg.sender, budgets[i]);
        }
        _pull(msg.sender, total);
    }

    /// @notice The client names the provider of an open job that has none. Reverts with ProviderAlreadySet, ZeroAddress.
    function setProvider(uint256 jobId, address provider, bytes calldata) external {
        Job storage job = _inStatus(jobId, Status.Open);
        if (msg.sender != job.client) revert NotAuthorised(jobId, msg.sender);
        if (job.provider != address(0)) revert ProviderAlreadySet(jobId, job.provider);
        if (provider == address(0)) revert ZeroAddress();
        job.provider = provider;
        emit ProviderSet(jobId, provider);
    }

    /// @notice Client or provider sets the budget (smallest unit) of an open job.
    function setBudget(uint256 jobId, uint256 amount, bytes calldata) external {
        Job storage job = _inStatus(jobId, Status.Open);
        if (msg.sender != job.client && msg.sender != job.provider) revert NotAuthorised(jobId, msg.sender);
        job.budget = amount;
        emit BudgetSet(jobId, amount);
    }

    /// @notice The client pays the budget into escrow. Reverts with BudgetMismatch when it is not `expectedBudget`,
    /// ZeroBudget, ZeroAddress without a provider, PastExpiry.
    function fund(uint256 jobId, uint256 expectedBudget, bytes calldata) external nonReentrant {
        uint40 time_ = clock.tick();
        Job storage job = _inStatus(jobId, Status.Open);
        if (msg.sender != job.client) revert NotAuthorised(jobId, msg.sender);
        if (job.provider == address(0)) revert ZeroAddress();
        if (job.budget != expectedBudget) revert BudgetMismatch(jobId, job.budget, expectedBudget);
        if (expectedBudget == 0) revert ZeroBudget(jobId);
        if (time_ >= job.expiredAt) revert PastExpiry(jobId, job.expiredAt);
        job.status = Status.Funded;
        emit JobFunded(jobId, msg.sender, expectedBudget);
        _pull(msg.sender, expectedBudget);
    }

    /// @notice The provider delivers before the expiry. Reverts with WrongStatus, NotAuthorised, PastExpiry.
    function submit(uint256 jobId, bytes32 deliverable, bytes calldata) external nonReentrant {
        uint40 time_ = clock.tick();
        Job storage job = _inStatus(jobId, Status.Funded);
        if (msg.sender != job.provider) revert NotAuthorised(jobId, msg.sender);
        if (time_ >= job.expiredAt) revert PastExpiry(jobId, job.expiredAt);
        job.status = Status.Submitted;
        emit JobSubmitted(jobId, msg.sender, deliverable);
    }

    /// @notice The evaluator accepts the submission: the provider is credited the budget less the fee.
    function complete(uint256 jobId, bytes32 reason, bytes calldata) external nonReentrant {
        Job storage job = _inStatus(jobId, Status.Submitted);
        if (msg.sender != job.evaluator) revert NotAuthorised(jobId, msg.sender);
        _complete(jobId, job, reason);
    }

    /// @notice The client drops an open job, or the evaluator refuses a funded or submitted one, which credits the
    /// whole budget to the client.
    function reject(uint256 jobId, bytes32 reason, bytes calldata) external nonReentrant {
        Job storage job = _known(jobId);
        Status status = job.status;
        if (status > Status.Submitted) revert WrongStatus(jobId, status);
        if (msg.sender != (status == Status.Open ? job.client : job.evaluator)) revert NotAuthorised(jobId, msg.sender);
        job.status = Status.Rejected;
        emit JobRejected(jobId, msg.sender, reason);
        if (status != Status.Open) _refund(jobId, job);
    }

    /// @notice Anyone, once a funded job expired without a submission: the budget is credited to the client.
    function claimRefund(uint256 jobId) external nonReentrant {
        uint40 time_ = clock.tick();
        Job storage job = _inStatus(jobId, Status.Funded);
        if (time_ < job.expiredAt) revert BeforeExpiry(jobId, job.expiredAt);
        job.status = Status.Expired;
        emit JobExpired(jobId);
        _refund(jobId, job);
    }

    /// @notice Anyone, once a submitted job expired without a ruling: delivered work is paid.
    function finalize(uint256 jobId) external nonReentrant {
        uint40 time_ = clock.tick();
        Job storage job = _inStatus(jobId, Status.Submitted);
        if (time_ < job.expiredAt) revert BeforeExpiry(jobId, job.expiredAt);
        _complete(jobId, job, bytes32(0));
    }

    /// @notice The whole record of a job. Reverts with UnknownJob.
    function getJob(uint256 jobId) external view returns (Job memory) {
        return _known(jobId);
    }

    /// @notice A job's record without its text.
    function summary(uint256 jobId)
        external
        view
        returns (address client, address provider, address evaluator, uint256 budget, uint40 expiredAt, Status status)
    {
        Job storage job = _known(jobId);
        return (job.client, job.provider, job.evaluator, job.budget, job.expiredAt, job.status);
    }

    /// @notice What the provider is credited for a completed `budget`, in the smallest unit.
    function netOf(uint256 budget) public view returns (uint256) {
        return budget - (budget * feeBps) / 10_000;
    }

    function _create(address provider, address evaluator, uint256 expiredAt, string calldata description, uint40 time_)
        private
        returns (uint256 jobId)
    {
        if (evaluator == address(0)) revert ZeroAddress();
        if (expiredAt <= time_ || expiredAt > time_ + MAX_DURATION) {
            revert ExpiryOutOfBounds(expiredAt, time_ + 1, time_ + MAX_DURATION);
        }
        uint256 length = bytes(description).length;
        if (length > MAX_DESCRIPTION) revert DescriptionTooLong(length, MAX_DESCRIPTION);
        jobId = ++count;
        _jobs[jobId] = Job(msg.sender, uint40(expiredAt), Status.Open, provider, evaluator, 0, description);
        emit JobCreated(jobId, msg.sender, provider, evaluator, expiredAt);
    }

    function _complete(uint256 jobId, Job storage job, bytes32 reason) private {
        job.status = Status.Completed;
        uint256 net = netOf(job.budget);
        uint256 fee = job.budget - net;
        uint256 burned = fee / 2;
        emit JobCompleted(jobId, job.evaluator, reason);
        emit PaymentReleased(jobId, job.provider, net);
        emit FeeTaken(jobId, burned, fee - burned);
        _credit(job.provider, net);
        _credit(treasury, fee - burned);
        _burn(burned);
    }

    function _refund(uint256 jobId, Job storage job) private {
        emit Refunded(jobId, job.client, job.budget);
        _credit(job.client, job.budget);
    }

    function _known(uint256 jobId) private view returns (Job storage job) {
        job = _jobs[jobId];
        if (job.client == address(0)) revert UnknownJob(jobId);
    }

    function _inStatus(uint256 jobId, Status status) private view returns (Job storage job) {
        job = _known(jobId);
        if (job.status != status) revert WrongStatus(jobId, job.status);
    }
}
