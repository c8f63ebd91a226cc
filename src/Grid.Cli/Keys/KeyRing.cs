using Grid.Cli.Settings;
using Grid.Client;
using Grid.Flists;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Keys;

/// <summary>The keys of one home directory: <c>keys/NAME.json</c>, mode 0600 in a directory of mode 0700.</summary>
public sealed class KeyRing(string directory)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const int MaximumFile = 64 * 1024;
    private const string NotAKey = "Name a file that 'grid key export' wrote; a bare seed is taken in with 'grid key import'.";

    public string PathOf(string name) => Path.Combine(directory, $"{name}.json");

    /// <summary>Every readable key, by name; files that are not keys are left out.</summary>
    public IEnumerable<KeyFile> List() => !Directory.Exists(directory) ? [] : Directory.EnumerateFiles(directory, "*.json")
        .Order(StringComparer.Ordinal).Select(f => Load(Path.GetFileNameWithoutExtension(f)).Try(out var file, out _) ? file : null).OfType<KeyFile>();

    public Answer<KeyFile> Load(string name)
    {
        if (!Names.IsValid(name, 1, 40))
            return new Refusal(RefusalCode.NameInvalid, $"'{name}' cannot be a key's name.", "Names have 1–40 lower-case letters, digits and hyphens.");
        return File.Exists(PathOf(name))
            ? Read(PathOf(name))
            : new Refusal(CliCode.KeyUnknown, $"There is no key '{name}' in {directory}.", $"Make it with 'grid key new {name}', or see 'grid key list'.");
    }

    /// <summary>Reads a key file wherever it lies; refuses one that others could have read.</summary>
    public static Answer<KeyFile> Read(string path)
    {
        try
        {
            using var file = new FileStream(NamedFile.Open(path), FileAccess.Read);
            // The mode of the file that is open, not of whatever the name means a moment later.
            var mode = File.GetUnixFileMode(file.SafeFileHandle);
            if ((mode & ~(OwnerOnly | UnixFileMode.UserExecute)) != 0)
            {
                return new Refusal(CliCode.KeyFileOpen, $"{path} has mode {Convert.ToString((int)mode, 8)}: others can read or change it.",
                    $"Run 'chmod 600 {path}'; if others may have read it, make a new key and rekey the account.");
            }
            if (file.Length > MaximumFile)
                return new Refusal(CliCode.KeyFileInvalid, $"{path} is too large for a key.", NotAKey);
            var bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            return KeyFile.TryParse(bytes) is { } key ? key : new Refusal(CliCode.KeyFileInvalid, $"{path} is not a key file of version {KeyFile.CurrentVersion}.", NotAKey);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, e.Message, Files.Look);
        }
    }

    /// <summary>Writes a new key; never over one that is there.</summary>
    public Refusal? Add(KeyFile key)
    {
        PrivateDirectory.Make(directory);
        return Write(PathOf(key.Name), key);
    }

    /// <summary>Writes a key file of mode 0600 that was not there before.</summary>
    public static Refusal? Write(string path, KeyFile key)
    {
        try
        {
            using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerOnly });
            file.Write(key.Format());
            file.Flush(flushToDisk: true);
            return null;
        }
        catch (IOException) when (File.Exists(path))
        {
            return new Refusal(CliCode.KeyExists, $"{path} is there already.", "Choose another name; a key is never overwritten.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new Refusal(CliCode.FileUnreadable, $"{path} cannot be written: {e.Message}", Files.Look);
        }
    }
}
