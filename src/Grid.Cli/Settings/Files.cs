using System.Text;
using Grid.Client;
using Grid.Flists;

namespace Grid.Cli.Settings;

/// <summary>Small files, read within a limit; our own are replaced whole, and what a person names is made new.</summary>
internal static class Files
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>What to do about a file that the system does not give.</summary>
    public const string Look = "Look at it with 'ls -l': it must be there, a plain file, and yours to use; then run the same command again.";

    public static Answer<string> ReadText(string path, int maximum) => ReadBytes(path, maximum).Try(out var bytes, out var refusal)
        ? new UTF8Encoding(false, throwOnInvalidBytes: false).GetString(bytes)
        : refusal;

    public static Answer<byte[]> ReadBytes(string path, int maximum) => ReadBytes(path, maximum, _ => null);

    /// <param name="wrong">says no to the mode of the file that is open, not of whatever the name means a moment later</param>
    public static Answer<byte[]> ReadBytes(string path, int maximum, Func<UnixFileMode, Refusal?> wrong)
    {
        try
        {
            using var file = new FileStream(NamedFile.Open(path), FileAccess.Read, bufferSize: 0);
            if (wrong(File.GetUnixFileMode(file.SafeFileHandle)) is { } no)
                return no;
            using var content = new MemoryStream();
            var buffer = new byte[81_920];
            for (int read; (read = file.Read(buffer)) > 0;)
            {
                content.Write(buffer, 0, read);
                if (content.Length > maximum)
                    return new Refusal(RefusalCode.TooLarge, $"{path} is larger than the {maximum} bytes allowed here.", "Check that it is the file you mean.");
            }
            return content.ToArray();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, e.Message, Look);
        }
    }

    /// <summary>Why a new file cannot be made there; null when it can. Asked before anything is done whose result the file would hold.</summary>
    public static Refusal? Taken(string path)
    {
        var file = new FileInfo(Path.GetFullPath(path));
        // A link that leads nowhere is there all the same.
        if (Path.Exists(path) || file.LinkTarget is not null)
            return new Refusal(CliCode.FileExists, $"{path} is there already.", "Choose another file; none is ever overwritten.");
        return Directory.Exists(file.DirectoryName) ? null : new Refusal(CliCode.FileUnreadable, $"{path} cannot be written: there is no directory {file.DirectoryName}.", "Make it, or choose another.");
    }

    public static Refusal? Create(string path, string text) => Create(path, Encoding.UTF8.GetBytes(text));

    /// <summary>Makes a file, mode 0600, that was not there before: never through a link, over a device, or in place of another.</summary>
    public static Refusal? Create(string path, ReadOnlySpan<byte> content)
    {
        if (Taken(path) is { } taken)
            return taken;
        try
        {
            using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly });
            try
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            catch (IOException)
            {
                // A part of it would be taken for the whole.
                File.Delete(path);
                throw;
            }
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, $"{path} cannot be written: {e.Message}", Look);
        }
    }

    public static Refusal? Replace(string path, string text) => Replace(path, Encoding.UTF8.GetBytes(text));

    /// <summary>Writes a file of our own; its directory is made. A reader sees the old content or the new, never a part. A link stays and leads to the new.</summary>
    public static Refusal? Replace(string path, ReadOnlySpan<byte> content)
    {
        try
        {
            path = Path.GetFullPath(path);
            if (new FileInfo(path).LinkTarget is not null)
                path = File.ResolveLinkTarget(path, returnFinalTarget: true)!.FullName;
            if (NamedFile.OtherThan(path) is { } other)
                return new Refusal(CliCode.FileUnreadable, $"{path} cannot be written: it is {other}.", "Move it away, or choose another place.");
            PrivateDirectory.Make(Path.GetDirectoryName(path)!);
            var temporary = $"{path}.{Environment.ProcessId}-{Guid.NewGuid():n}.new";
            using (var file = new FileStream(temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, $"{path} cannot be written: {e.Message}", Look);
        }
    }
}
