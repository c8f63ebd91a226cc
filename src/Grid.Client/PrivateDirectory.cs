namespace Grid.Client;

/// <summary>Directories of one user: what is known of others' affairs is nobody else's to read.</summary>
public static class PrivateDirectory
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Makes it and those above it that are not there, each with mode 0700. What is there stays as it is.</summary>
    public static void Make(string path)
    {
        path = Path.GetFullPath(path);
        // The framework gives the mode to the last one only.
        if (Path.GetDirectoryName(path) is { } above && !Directory.Exists(above))
            Make(above);
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path);
        else
            Directory.CreateDirectory(path, OwnerOnly);
    }
}
