namespace Grid.Node;

/// <summary>A file that its owner alone may read.</summary>
internal static class PrivateFile
{
    /// <summary>What a name gets when who was writing it is killed: it is the owner's to delete.</summary>
    public const string Aside = ".new";

    /// <summary>Replaces it whole.</summary>
    /// <param name="durable">on the disk before it has its name</param>
    public static void Replace(string path, ReadOnlySpan<byte> content, bool durable = true)
    {
        var aside = path + Aside;
        using (var file = new FileStream(aside, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
        {
            file.Write(content);
            file.Flush(flushToDisk: durable);
        }
        File.Move(aside, path, overwrite: true);
    }
}
