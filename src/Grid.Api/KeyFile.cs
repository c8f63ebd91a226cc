using System.Security.Cryptography;
using System.Text;
using Grid.Statements;

namespace Grid.Api;

/// <summary>The ledger's own key on disk: the 32-byte seed as hexadecimal digits and a newline, for its owner only.</summary>
internal static class KeyFile
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Reads the key, making it first if there is none.</summary>
    /// <exception cref="StartException">it is no key, or others may read it</exception>
    /// <exception cref="IOException">it cannot be read or made</exception>
    public static SigningKey Open(string path)
    {
        if (Directory.Exists(path))
            throw Invalid($"'{path}' is a directory, not a key.", "Name a file with --key.");
        if (!File.Exists(path))
            Make(path);
        if ((File.GetUnixFileMode(path) & ~(OwnerOnly | UnixFileMode.UserExecute)) != 0)
            throw new StartException(new Refusal("key-file-open-to-others", $"'{path}' is a private key that others may read.", "chmod 600 it, and replace it if they did."));
        try
        {
            return SigningKey.FromSeed(Convert.FromHexString(File.ReadAllText(path).Trim()));
        }
        catch (FormatException e)
        {
            throw Invalid($"'{path}' does not hold the {2 * SigningKey.SeedSize} hexadecimal digits of a key's seed.", "Put back the key that opened this ledger: no other may go on with it.", e);
        }
    }

    private static StartException Invalid(string detail, string next, Exception? inner = null) => new(new Refusal("key-file-invalid", detail, next), inner);

    private static void Make(string path)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } directory)
            Directory.CreateDirectory(directory);
        // Under another name first: a key is there whole or not at all.
        var making = $"{path}.making";
        File.Delete(making);
        using (var file = new FileStream(making, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly }))
        {
            file.Write(Encoding.ASCII.GetBytes($"{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(SigningKey.SeedSize))}\n"));
            file.Flush(flushToDisk: true);
        }
        File.Move(making, path);
    }
}
