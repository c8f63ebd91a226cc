namespace Grid.Node;

/// <summary>Whom the node's directories are open to.</summary>
internal static class DirectoryModes
{
    /// <summary>0700: root alone.</summary>
    public const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>0711: others walk through to what is theirs, and nobody lists what is there.</summary>
    public const UnixFileMode Passed = Private | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
}
