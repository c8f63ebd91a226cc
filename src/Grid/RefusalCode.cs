using System.Collections.Frozen;

namespace Grid;

/// <summary>
/// The codes that refusals carry wherever they are given; hosts have a few of their own beside them. Codes never change their meaning. Those of the static rules and
/// of what terms are held against when they are agreed each have a case in <c>tests/vectors/refusals</c>; others are shown by tests.
/// </summary>
public static class RefusalCode
{
    // Bytes
    public const string Malformed = "malformed";
    public const string TooLarge = "too-large";
    public const string UnknownField = "unknown-field";
    public const string MissingField = "missing-field";
    public const string UnknownKind = "unknown-kind";
    public const string UnknownVersion = "unknown-version";

    // Signatures
    public const string BadSignature = "bad-signature";
    public const string SignatureMissing = "signature-missing";
    public const string StrangerSigned = "stranger-signed";
    public const string WrongLedger = "wrong-ledger";
    public const string Expired = "expired";
    public const string NotYetValid = "not-yet-valid";
    public const string KeyInvalid = "key-invalid";

    // Things and states
    public const string NotFound = "not-found";
    public const string NameTaken = "name-conflict";
    public const string InviteUsed = "invite-used";
    public const string InviteExpired = "invite-expired";
    public const string NodeRetired = "node-retired";
    public const string NodeDrains = "node-drains";
    public const string AgreementsRunning = "agreements-running";
    public const string WrongState = "wrong-state";
    public const string AlreadySo = "already-so";
    public const string Conflict = "conflict";
    public const string NotAParty = "not-a-party";

    // The agreement's static rules (design: agreement.md)
    public const string MutableReference = "mutable-reference";
    public const string EntryNotDescribed = "entry-not-described";
    public const string InterpreterNotDescribed = "interpreter-not-described";
    public const string LibraryNotDescribed = "library-not-described";
    public const string FlistIncomplete = "flist-incomplete";
    public const string FlistInvalid = "flist-invalid";
    public const string EnvPlaceholder = "env-placeholder";
    public const string SecretNotSealed = "secret-not-sealed";
    public const string HostAccess = "host-access";
    public const string ExecFromWritable = "exec-from-writable";
    public const string Capacity = "capacity";
    public const string AddressConflict = "address-conflict";
    public const string AddressInvalid = "address-invalid";
    public const string AddressNotOwned = "address-not-owned";
    public const string NameInvalid = "name-invalid";
    public const string PathInvalid = "path-invalid";
    public const string PriceMismatch = "price-mismatch";
    public const string OfferExpired = "offer-expired";
    public const string OfferMismatch = "offer-mismatch";
    public const string TermInPast = "term-in-past";
    public const string TermInvalid = "term-invalid";
    public const string UnresolvedNode = "unresolved-node";
    public const string UnresolvedVolume = "unresolved-volume";
    public const string UnresolvedNetwork = "unresolved-network";
    public const string UnresolvedBackend = "unresolved-backend";
    public const string HostnameInvalid = "hostname-invalid";
    public const string DomainNotProven = "domain-not-proven";
    public const string CidrInvalid = "cidr-invalid";
    public const string TunnelMismatch = "tunnel-mismatch";
    public const string PortConflict = "port-conflict";
    public const string VolumeConflict = "volume-conflict";
    public const string KernelNotDescribed = "kernel-not-described";
    public const string VolumeShrink = "volume-shrink";
    public const string GrowthUnsupported = "growth-unsupported";
    public const string UnsupportedKind = "unsupported-kind";
    public const string SizeInvalid = "size-invalid";

    // Proofs
    public const string BadProof = "bad-proof";
    public const string BadCheckpoint = "bad-checkpoint";
    public const string Inconsistent = "inconsistent";

    /// <summary>Field names that ask for the host itself; they get a code of their own rather than <see cref="UnknownField"/>.</summary>
    public static readonly FrozenSet<string> HostAccessFields =
        new[] { "privileged", "hostPath", "hostNetwork", "hostPid", "hostIpc", "devices", "device", "capabilities", "capAdd", "securityOpt" }.ToFrozenSet();
}
