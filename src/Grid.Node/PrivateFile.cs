namespace Grid.Node;

/// <summary>A file that its owner alone may read.</summary>
internal static class PrivateFile
{
    private const string Aside = ".new";

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

    /// <summary>With what somebody who was killed was just writing; nothing when there is none.</summary>
    public static void Delete(string path)
    {
        if (!Directory.Exists(Path.GetDirectoryName(path)))
            return;
        File.Delete(path + Aside);
        File.Delete(path);
    }
}
