using System.Text;
using Grid.Cli.Settings;
using Grid.Client;

namespace Grid.Cli.Keys;

/// <summary>Where a passphrase comes from: a file that GRID_PASSPHRASE_FILE names, or the person at the terminal. Never an argument.</summary>
internal sealed class Passphrases(Shell shell)
{
    public const string Variable = "GRID_PASSPHRASE_FILE";
    public const int Shortest = 8;

    public Answer<string> ForOpening(string key) => FromFile() ?? Ask($"Passphrase of the key '{key}': ");

    /// <summary>Asks twice where a person types.</summary>
    public Answer<string> ForSealing(string key)
    {
        var first = FromFile() ?? Ask($"New passphrase for the key '{key}': ");
        if (!first.Try(out var passphrase, out _))
            return first;
        if (passphrase.Length < Shortest)
            return new Refusal(CliCode.PassphraseMissing, $"A passphrase has at least {Shortest} characters.", "Choose a longer one.");
        if (shell.Environment(Variable) is null && shell.Terminal.ReadSecret("Once more: ") != passphrase)
            return new Refusal(CliCode.PassphraseWrong, "The two differ.", "Try again.");
        return passphrase;
    }

    private Answer<string>? FromFile()
    {
        if (shell.Environment(Variable) is not { Length: > 0 } path)
            return null;
        return Files.ReadBytes(path, 4096, mode => OpenToOthers(path, mode)).Try(out var text, out var refusal) ? Encoding.UTF8.GetString(text).TrimEnd('\r', '\n') : refusal;
    }

    private static Refusal? OpenToOthers(string path, UnixFileMode mode) => (mode & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute)) == 0
        ? null
        : new Refusal(CliCode.PassphraseFileOpen, $"{path} has mode {Convert.ToString((int)mode, 8)}: others can read or change it.",
            $"Run 'chmod 600 {path}'; if others may have read it, seal the key with another passphrase.");

    private Answer<string> Ask(string prompt) => shell.Terminal.ReadSecret(prompt) is { Length: > 0 } typed
        ? typed
        : new Refusal(CliCode.PassphraseMissing, "The key is sealed with a passphrase, and nobody is here to type it.", $"Put it in a file of mode 0600 and name the file in {Variable}.");
}
