// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Clock} from "../Clock.sol";
import {NodeRegistry} from "../NodeRegistry.sol";
import {StakeVault} from "../StakeVault.sol";
import {Terms, TermsRules} from "./Terms.sol";

/// @title Who takes part in a job: enrolment, the beacon draw of verifier seats, and the locks behind them.
/// @notice The service that members allow in the vault. Only the ledger opens, seats, penalises and closes.
abstract contract Enrolment is ReentrancyGuard {
    using TermsRules for Terms;

    uint8 public constant TRAINER = 1;
    uint8 public constant COORDINATOR = 2;
    uint8 public constant VERIFIER = 3;
    uint8 public constant NO_COORDINATOR = type(uint8).max;
    uint256 public constant MAX_COORDINATORS = 16;
    uint256 public constant MAX_CANDIDATES = 64;
    /// @notice A commitment that was not revealed costs this share of the verifier's stake.
    uint256 public constant FORFEIT_BPS = 1_000;

    enum Phase {
        None,
        Enrolling,
        Seated,
        Closed
    }

    struct Member {
        uint8 role; // 0 none
        uint16 index; // place in the order of its role; a verifier below Terms.verifiers is seated
        uint32 first; // a trainer takes part in the openings from this one on,
        uint32 last; // up to this one: zero while it is seated
        bool revealed;
        bool out; // proven at fault or short of stake: no longer counted
        bytes32 commitment;
    }

    struct Group {
        Phase phase;
        bool drawn; // seats were drawn, so who did not reveal pays
        uint16 trainers; // seated now
        uint16 leavers; // of those who take part in the last opening
        uint32 openings; // of rounds and attempts so far
        uint8 revealed;
        bytes32 mix; // all revealed values
        address client;
        Terms terms;
        address[] coordinators;
        address[] verifiers; // candidates; seats first once seated
        mapping(address account => Member) members;
    }

    Clock public immutable clock;
    StakeVault public immutable vault;
    NodeRegistry public immutable registry;
    address public immutable deployer;
    /// @notice The ledger, set once by the deployer.
    address public ledger;
    mapping(uint256 job => Group) internal _groups;

    event LedgerSet(address indexed ledger);
    event Enrolled(uint256 indexed job, address indexed account, uint8 indexed role, uint16 index, bytes32 commitment);
    event Left(uint256 indexed job, address indexed account);
    event Revealed(uint256 indexed job, address indexed account, bytes32 value);
    event Seated(uint256 indexed job, address[] verifiers, address[] coordinators, uint16 trainers);
    event Penalised(uint256 indexed job, address indexed account, uint8 role, uint256 amount, bool out);
    event MemberReleased(uint256 indexed job, address indexed account, uint256 amount);

    error NotDeployer(address caller);
    error LedgerAlreadySet(address ledger);
    error NotLedger(address caller);
    error ZeroAddress();
    error WrongPhase(uint256 job, Phase phase);
    error UnknownRole(uint8 role);
    error RoleRefused(address account, uint8 role);
    error AlreadyEnrolled(address account, uint8 role);
    error NotEnrolled(address account);
    error NotSeated(address account);
    error RoleFull(uint8 role, uint256 max);
    error CommitmentMismatch(address account);
    error NothingToReveal(address account);
    error TooEarly(uint40 time, uint40 from);
    error TooLate(uint40 time, uint40 until);
    error TooFew(uint8 role, uint256 have, uint256 need);
    error EnoughEnrolled(uint256 job);
    error StillBound(address account);

    modifier onlyLedger() {
        if (msg.sender != ledger) revert NotLedger(msg.sender);
        _;
    }

    constructor(Clock clock_, StakeVault vault_, NodeRegistry registry_) {
        clock = clock_;
        vault = vault_;
        registry = registry_;
        deployer = msg.sender;
    }

    /// @notice Names the ledger, once, by the deployer: the two contracts need each other's address. Reverts with
    /// NotDeployer, LedgerAlreadySet, ZeroAddress.
    function setLedger(address ledger_) external {
        if (msg.sender != deployer) revert NotDeployer(msg.sender);
        if (ledger != address(0)) revert LedgerAlreadySet(ledger);
        if (ledger_ == address(0)) revert ZeroAddress();
        ledger = ledger_;
        emit LedgerSet(ledger_);
    }

    /// @notice Takes a role in a job and locks its stake; a trainer also while the job runs, for the openings to come.
    /// `commitment` is a verifier's share of the beacon, keccak256(abi.encode(chainid, this, job, account, value, salt)),
    /// zero for the other roles. Reverts with WrongPhase, TooLate, RoleRefused, AlreadyEnrolled, RoleFull,
    /// CommitmentMismatch or the vault's errors.
    function enrol(uint256 job, uint8 role, bytes32 commitment) external nonReentrant {
        uint40 time = clock.tick();
        Group storage g = _groups[job];
        uint40 until = _enrolUntil(job, g, role);
        if (time >= until) revert TooLate(time, until);
        if (role == 0 || role > VERIFIER) revert UnknownRole(role);
        address account = registry.accountOf(msg.sender);
        if (!registry.hasRole(account, role)) revert RoleRefused(account, role);
        Member storage member = g.members[account];
        if (member.role != 0) revert AlreadyEnrolled(account, member.role);
        if ((role == VERIFIER) == (commitment == bytes32(0))) revert CommitmentMismatch(account);
        uint16 index = _place(g, role, account);
        g.members[account] = Member(role, index, g.openings + 1, 0, false, false, commitment);
        emit Enrolled(job, account, role, index, commitment);
        uint256 amount = _stakeOf(g, role);
        if (amount > 0) vault.lock(account, claimOf(job, account), amount, g.terms.finality());
    }

    /// @notice A trainer gives its seat up while the job runs: it takes part in what is open now and in nothing that is
    /// opened later. No rule touches a trainer's stake, so its lock goes back at once. Reverts with WrongPhase, NotSeated.
    function leaveJob(uint256 job) external nonReentrant {
        clock.tick();
        Group storage g = _inPhase(job, Phase.Seated);
        address account = registry.accountOf(msg.sender);
        Member storage member = g.members[account];
        if (member.role != TRAINER || member.last != 0) revert NotSeated(account);
        member.last = g.openings;
        g.trainers--;
        if (member.first <= g.openings) g.leavers++;
        emit Left(job, account);
        emit MemberReleased(job, account, vault.release(claimOf(job, account)));
    }

    /// @notice A verifier candidate opens its commitment, between `enrolBy` and `revealBy`, when there are more
    /// candidates than seats. Reverts with NothingToReveal, TooEarly, TooLate, CommitmentMismatch.
    function reveal(uint256 job, bytes32 value, bytes32 salt) external {
        uint40 time = clock.tick();
        Group storage g = _inPhase(job, Phase.Enrolling);
        if (time < g.terms.enrolBy) revert TooEarly(time, g.terms.enrolBy);
        if (time >= _revealBy(g)) revert TooLate(time, _revealBy(g));
        address account = registry.accountOf(msg.sender);
        Member storage member = g.members[account];
        if (member.role != VERIFIER || member.revealed || !_surplus(g)) revert NothingToReveal(account);
        bytes32 expected = keccak256(abi.encode(block.chainid, address(this), job, account, value, salt));
        if (member.commitment != expected) revert CommitmentMismatch(account);
        member.revealed = true;
        g.revealed++;
        // The order of reveals must not matter, hence xor; every value was fixed before any of them was known.
        g.mix ^= keccak256(abi.encode(account, value));
        emit Revealed(job, account, value);
    }

    /// @notice Returns the locks of `accounts`: of anyone once the job is closed, of a candidate without a seat once it
    /// runs. Who had to reveal and did not loses a tenth. Reverts with NotEnrolled, StillBound.
    function release(uint256 job, address[] calldata accounts) external nonReentrant {
        Group storage g = _groups[job];
        for (uint256 i = 0; i < accounts.length; i++) {
            address account = accounts[i];
            Member storage member = g.members[account];
            if (member.role == 0) revert NotEnrolled(account);
            bool unseated = member.role == VERIFIER && member.index >= g.terms.verifiers;
            if (g.phase != Phase.Closed && !(g.phase == Phase.Seated && unseated)) revert StillBound(account);
            if (g.drawn && member.role == VERIFIER && !member.revealed) {
                _penalise(job, g, account, FORFEIT_BPS, address(0));
            }
            emit MemberReleased(job, account, vault.release(claimOf(job, account)));
        }
    }

    /// @notice Begins the enrolment of a job; answers when every dispute about it will be over. Ledger only. Reverts
    /// with TermOutOfBounds.
    function open(uint256 job, address client, Terms calldata terms, uint40 time)
        external
        onlyLedger
        returns (uint40 finality)
    {
        TermsRules.check(terms, time);
        Group storage g = _inPhase(job, Phase.None);
        g.phase = Phase.Enrolling;
        g.client = client;
        g.terms = terms;
        return g.terms.finality();
    }

    /// @notice Fixes the seats; answers the number of trainers. `byClient` allows it before `enrolBy` when nobody is too
    /// many. Ledger only. Reverts with TooFew, TooEarly.
    function seat(uint256 job, uint40 time, bool byClient) external onlyLedger returns (uint16 trainers) {
        Group storage g = _inPhase(job, Phase.Enrolling);
        trainers = g.trainers;
        uint256 seats = g.terms.verifiers;
        if (trainers < g.terms.quorum) revert TooFew(TRAINER, trainers, g.terms.quorum);
        if (g.coordinators.length == 0) revert TooFew(COORDINATOR, 0, 1);
        if (g.verifiers.length < seats) revert TooFew(VERIFIER, g.verifiers.length, seats);
        bool surplus = _surplus(g);
        if (time < g.terms.enrolBy && (surplus || !byClient)) revert TooEarly(time, g.terms.enrolBy);
        if (surplus) {
            bool waiting = time < _revealBy(g) && g.revealed < g.verifiers.length;
            if (waiting) revert TooEarly(time, _revealBy(g));
            if (g.revealed < seats) revert TooFew(VERIFIER, g.revealed, seats);
            _draw(g, seats);
        }
        g.phase = Phase.Seated;
        emit Seated(job, seatsOf(job), g.coordinators, trainers);
    }

    /// @notice Counts a new opening, of a round or of another attempt at one; answers how many trainers take part in it:
    /// all who are seated now. Ledger only.
    function muster(uint256 job) external onlyLedger returns (uint16 trainers) {
        Group storage g = _groups[job];
        g.openings++;
        g.leavers = 0;
        return g.trainers;
    }

    /// @notice Ends an enrolment that brought too few together. Ledger only. Reverts with TooEarly, EnoughEnrolled.
    function cancel(uint256 job, uint40 time) external onlyLedger {
        Group storage g = _inPhase(job, Phase.Enrolling);
        Terms storage terms = g.terms;
        if (time < terms.enrolBy) revert TooEarly(time, terms.enrolBy);
        bool enough = g.trainers >= terms.quorum && g.coordinators.length > 0 && g.verifiers.length >= terms.verifiers;
        if (enough) {
            if (!_surplus(g) || g.revealed >= terms.verifiers) revert EnoughEnrolled(job);
            if (time < _revealBy(g)) revert TooEarly(time, _revealBy(g));
            g.drawn = true;
        }
        g.phase = Phase.Closed;
    }

    /// @notice Ends a job's cohort: every lock can be released from now on. Ledger only.
    function close(uint256 job) external onlyLedger {
        _groups[job].phase = Phase.Closed;
    }

    /// @notice Takes `bps` of what the account's role staked, 40 % of it for the client, 20 % for `finder`. A member
    /// with less than half of its stake left is out. Ledger only.
    function penalise(uint256 job, address account, uint256 bps, address finder) external onlyLedger nonReentrant {
        _penalise(job, _groups[job], account, bps, finder);
    }

    /// @notice The name of an account's lock in the vault.
    function claimOf(uint256 job, address account) public pure returns (bytes32) {
        return keccak256(abi.encode(job, account));
    }

    /// @notice The seated verifiers in order of their seats.
    function seatsOf(uint256 job) public view returns (address[] memory seats) {
        Group storage g = _groups[job];
        seats = new address[](g.terms.verifiers);
        for (uint256 i = 0; i < seats.length; i++) seats[i] = g.verifiers[i];
    }

    function _penalise(uint256 job, Group storage g, address account, uint256 bps, address finder) internal {
        Member storage member = g.members[account];
        uint256 whole = _stakeOf(g, member.role);
        bytes32 claim = claimOf(job, account);
        uint256 taken = vault.slash(claim, (whole * bps) / 10_000, g.client, finder);
        (,, uint256 left) = vault.locks(address(this), claim);
        bool out = left * 2 < whole;
        if (out) member.out = true;
        emit Penalised(job, account, member.role, taken, out);
    }

    function _place(Group storage g, uint8 role, address account) private returns (uint16 index) {
        if (role == TRAINER) {
            index = g.trainers;
            if (index == g.terms.maxTrainers) revert RoleFull(role, index);
            g.trainers = index + 1;
            return index;
        }
        address[] storage list = role == COORDINATOR ? g.coordinators : g.verifiers;
        uint256 max = role == COORDINATOR ? MAX_COORDINATORS : MAX_CANDIDATES;
        if (list.length == max) revert RoleFull(role, max);
        index = uint16(list.length);
        list.push(account);
    }

    /// @dev Trainers come while the job runs too, as long as what is opened then has time for one patience.
    function _enrolUntil(uint256 job, Group storage g, uint8 role) private view returns (uint40) {
        if (g.phase == Phase.Enrolling) return g.terms.enrolBy;
        if (g.phase != Phase.Seated || role != TRAINER) revert WrongPhase(job, g.phase);
        return g.terms.deadline - g.terms.patience;
    }

    /// @dev Seats are the first places of a Fisher-Yates shuffle of those who revealed; at most MAX_CANDIDATES steps.
    function _draw(Group storage g, uint256 seats) private {
        g.drawn = true;
        address[] memory list = g.verifiers;
        uint256 n;
        for (uint256 i = 0; i < list.length; i++) {
            if (!g.members[list[i]].revealed) continue;
            (list[n], list[i]) = (list[i], list[n]);
            n++;
        }
        for (uint256 i = 0; i < seats; i++) {
            uint256 k = i + uint256(keccak256(abi.encode(g.mix, i))) % (n - i);
            (list[i], list[k]) = (list[k], list[i]);
        }
        for (uint256 i = 0; i < list.length; i++) {
            if (g.verifiers[i] == list[i]) continue;
            g.verifiers[i] = list[i];
            g.members[list[i]].index = uint16(i);
        }
    }

    function _revealBy(Group storage g) private view returns (uint40) {
        return g.terms.enrolBy + g.terms.window;
    }

    function _inPhase(uint256 job, Phase phase) internal view returns (Group storage g) {
        g = _groups[job];
        if (g.phase != phase) revert WrongPhase(job, g.phase);
    }

    function _surplus(Group storage g) private view returns (bool) {
        return g.verifiers.length > g.terms.verifiers;
    }

    function _stakeOf(Group storage g, uint8 role) private view returns (uint256) {
        if (role == TRAINER) return g.terms.trainerStake;
        return role == COORDINATOR ? g.terms.coordinatorStake : g.terms.verifierStake;
    }
}
