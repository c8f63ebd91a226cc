using System.Text;
using Grid.Client;

namespace Grid.Cli.Settings;

/// <summary>Small files, read within a limit and replaced whole.</summary>
internal static class Files
{
    public static Answer<string> ReadText(string path, int maximum) => ReadBytes(path, maximum).Try(out var bytes, out var refusal)
        ? new UTF8Encoding(false, throwOnInvalidBytes: false).GetString(bytes)
        : refusal;

    public static Answer<byte[]> ReadBytes(string path, int maximum)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var content = new MemoryStream();
            var buffer = new byte[81_920];
            for (int read; (read = file.Read(buffer)) > 0;)
            {
                content.Write(buffer, 0, read);
                if (content.Length > maximum)
                    return new Refusal(RefusalCode.TooLarge, $"{path} is larger than the {maximum} bytes allowed here.");
            }
            return content.ToArray();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, $"{path} cannot be read: {e.Message}");
        }
    }

    public static Refusal? Replace(string path, string text) => Replace(path, Encoding.UTF8.GetBytes(text));

    /// <summary>A reader sees the old content or the new, never a part.</summary>
    public static Refusal? Replace(string path, ReadOnlySpan<byte> content)
    {
        try
        {
            var directory = Path.GetDirectoryName(Path.GetFullPath(path))!;
            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var temporary = $"{path}.{Environment.ProcessId}-{Guid.NewGuid():n}.new";
            using (var file = new FileStream(temporary, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, $"{path} cannot be written: {e.Message}");
        }
    }
}
