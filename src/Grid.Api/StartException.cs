namespace Grid.Api;

/// <summary>A host cannot start; the refusal says why and what to do. The hub has the same.</summary>
internal sealed class StartException(Refusal refusal, Exception? inner = null) : Exception($"{refusal}", inner)
{
    public Refusal Refusal => refusal;

    // The outermost names Kestrel, the innermost the reason.
    public static StartException CannotListen(string address, Exception e) =>
        new(new Refusal("address-unusable", $"It cannot listen on {address}: {e.GetBaseException().Message}.", "End what listens there, or give another --listen."), e);

    /// <param name="directory">the option that names where it writes</param>
    public static Refusal Unreadable(Exception e, string directory) =>
        new("file-unreadable", e.Message, $"Look whether the disk is full or read-only and who owns what is named; {directory} needs a directory that this user may write to.");
}
