namespace Grid.Node;

/// <summary>Codes of what keeps a node from starting; what the ledger refuses has its own.</summary>
internal static class NodeCode
{
    public const string Usage = "usage";
    public const string MachineCannot = "machine-cannot";
    public const string DirectoryUnusable = "directory-unusable";
    public const string DirectoryInUse = "directory-in-use";
    public const string KeyFileInvalid = "key-file-invalid";
    public const string KeyFileOpen = "key-file-open-to-others";
    public const string JoinFileInvalid = "join-file-invalid";
    public const string InviteMissing = "invite-missing";
    public const string InviteInvalid = "invite-invalid";
    public const string Remains = "not-cleared";
    public const string FileUnreadable = "file-unreadable";
}

/// <summary>The node cannot start; the refusal says why and what to do.</summary>
public sealed class NodeException(Refusal refusal) : Exception(refusal.Next is null ? refusal.Detail : $"{refusal.Detail} {refusal.Next}")
{
    public NodeException(string code, string detail, string? next = null) : this(new Refusal(code, detail, next))
    {
    }

    /// <param name="why">what this machine has not</param>
    public static NodeException CannotRun(string why) =>
        new(NodeCode.MachineCannot, $"This machine cannot run containers: {why}", "Run it as root on a machine whose kernel has control groups and FUSE, with what tools/packages.txt lists.");

    public Refusal Refusal { get; } = refusal;
}
