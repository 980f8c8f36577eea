// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC4906} from "@openzeppelin/contracts/interfaces/IERC4906.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// @title What a contract answers that may approve model versions.
interface IAcceptance {
    /// @notice Whether the artefact with this digest passed its acceptance.
    function isAccepted(bytes32 artifact) external view returns (bool);
}

/// @title Models, their versions and lineage, and which version may be served.
/// @notice A model is an ERC-721 token; a version is named by (model, artefact digest).
contract ModelRegistry is ERC721, IERC4906 {
    uint256 public constant MAX_PARENTS = 8;
    uint256 public constant MAX_URI = 1_024;

    enum Status {
        None,
        Draft,
        Candidate,
        Approved,
        Deprecated,
        Revoked
    }

    struct Version {
        Status status;
        address approver;
        bytes32 trainingRecord;
        bytes32 evalRecord;
        bytes32[] parents;
        string uri;
    }

    struct Model {
        bytes32 lineageRoot;
        address approver;
        string uri;
    }

    uint256 public count;
    mapping(uint256 model => Model) private _models;
    mapping(uint256 model => mapping(bytes32 artifact => Version)) private _versions;

    event ModelRegistered(uint256 indexed model, address indexed owner, bytes32 lineageRoot, string uri);
    event ApproverSet(uint256 indexed model, address indexed approver);
    event VersionPublished(
        uint256 indexed model,
        bytes32 indexed artifact,
        address approver,
        bytes32[] parents,
        bytes32 trainingRecord,
        bytes32 evalRecord,
        string uri
    );
    event StatusChanged(uint256 indexed model, bytes32 indexed artifact, Status from, Status to, address by);

    error NotOwner(uint256 model, address caller);
    error NotApprover(uint256 model, bytes32 artifact, address caller);
    error NotAccepted(uint256 model, bytes32 artifact, address approver);
    error ZeroDigest();
    error TooManyParents(uint256 given, uint256 max);
    error UriTooLong(uint256 length, uint256 max);
    error VersionExists(uint256 model, bytes32 artifact);
    error UnknownVersion(uint256 model, bytes32 artifact);
    error WrongStatus(uint256 model, bytes32 artifact, Status status);

    constructor() ERC721("hansa model", "MODEL") {}

    /// @notice Registers a model of the caller; `lineageRoot` names where it comes from, zero for from scratch.
    function registerModel(bytes32 lineageRoot, string calldata uri) external returns (uint256 model) {
        _checkUri(uri);
        model = ++count;
        _models[model] = Model(lineageRoot, address(0), uri);
        _mint(msg.sender, model);
        emit ModelRegistered(model, msg.sender, lineageRoot, uri);
    }

    /// @notice Names who approves versions published from now on: a contract that answers `isAccepted`, or an account.
    function setApprover(uint256 model, address approver) external {
        _checkOwner(model);
        _models[model].approver = approver;
        emit ApproverSet(model, approver);
    }

    /// @notice Publishes a version as Draft under the model's current approver. Owner only.
    /// `parents` are digests of artefacts it derives from, at most 8. Reverts with VersionExists, ZeroDigest.
    function publishVersion(
        uint256 model,
        bytes32 artifact,
        bytes32[] calldata parents,
        bytes32 trainingRecord,
        bytes32 evalRecord,
        string calldata uri
    ) external {
        _checkOwner(model);
        _checkUri(uri);
        if (artifact == bytes32(0)) revert ZeroDigest();
        if (parents.length > MAX_PARENTS) revert TooManyParents(parents.length, MAX_PARENTS);
        Version storage version = _versions[model][artifact];
        if (version.status != Status.None) revert VersionExists(model, artifact);
        version.status = Status.Draft;
        version.approver = _models[model].approver;
        version.trainingRecord = trainingRecord;
        version.evalRecord = evalRecord;
        version.parents = parents;
        version.uri = uri;
        emit VersionPublished(model, artifact, version.approver, parents, trainingRecord, evalRecord, uri);
        emit MetadataUpdate(model);
    }

    /// @notice The owner offers a Draft for approval.
    function propose(uint256 model, bytes32 artifact) external {
        _checkOwner(model);
        _move(model, artifact, Status.Draft, Status.Candidate);
    }

    /// @notice Approves a Candidate: by its approver, or by anyone once the approver contract answers that the
    /// artefact is accepted. Reverts with WrongStatus, NotApprover, NotAccepted.
    function approveVersion(uint256 model, bytes32 artifact) external {
        address approver = _known(model, artifact).approver;
        if (msg.sender != approver) {
            if (approver.code.length == 0) revert NotApprover(model, artifact, msg.sender);
            if (!IAcceptance(approver).isAccepted(artifact)) revert NotAccepted(model, artifact, approver);
        }
        _move(model, artifact, Status.Candidate, Status.Approved);
    }

    /// @notice Owner or approver takes an Approved version out of recommendation; nodes may finish serving it.
    function deprecate(uint256 model, bytes32 artifact) external {
        _checkOwnerOrApprover(model, artifact);
        _move(model, artifact, Status.Approved, Status.Deprecated);
    }

    /// @notice Owner or approver revokes a version for ever.
    function revoke(uint256 model, bytes32 artifact) external {
        _checkOwnerOrApprover(model, artifact);
        Status status = _versions[model][artifact].status;
        if (status == Status.Revoked) revert WrongStatus(model, artifact, status);
        _move(model, artifact, status, Status.Revoked);
    }

    /// @notice Whether a node may serve this artefact as this model.
    function isApproved(uint256 model, bytes32 artifact) external view returns (bool) {
        return _versions[model][artifact].status == Status.Approved;
    }

    /// @notice The record of a version. Reverts with UnknownVersion.
    function versionOf(uint256 model, bytes32 artifact) external view returns (Version memory) {
        return _known(model, artifact);
    }

    /// @notice The record of a model; empty when there is none.
    function modelOf(uint256 model) external view returns (Model memory) {
        return _models[model];
    }

    /// @inheritdoc ERC721
    function tokenURI(uint256 model) public view override returns (string memory) {
        _requireOwned(model);
        return _models[model].uri;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 id) public view override(ERC721, IERC165) returns (bool) {
        // ERC-4906 has events only; its interface id is fixed by the standard.
        return id == bytes4(0x49064906) || super.supportsInterface(id);
    }

    function _move(uint256 model, bytes32 artifact, Status from, Status to) private {
        Version storage version = _known(model, artifact);
        if (version.status != from) revert WrongStatus(model, artifact, version.status);
        version.status = to;
        emit StatusChanged(model, artifact, from, to, msg.sender);
        emit MetadataUpdate(model);
    }

    function _known(uint256 model, bytes32 artifact) private view returns (Version storage version) {
        version = _versions[model][artifact];
        if (version.status == Status.None) revert UnknownVersion(model, artifact);
    }

    function _checkOwner(uint256 model) private view {
        if (_ownerOf(model) != msg.sender) revert NotOwner(model, msg.sender);
    }

    function _checkOwnerOrApprover(uint256 model, bytes32 artifact) private view {
        address approver = _known(model, artifact).approver;
        if (msg.sender != approver && _ownerOf(model) != msg.sender) revert NotApprover(model, artifact, msg.sender);
    }

    function _checkUri(string calldata uri) private pure {
        if (bytes(uri).length > MAX_URI) revert UriTooLong(bytes(uri).length, MAX_URI);
    }
}
