using System.Security.Cryptography;
using System.Text;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Secrets;
using Grid.Statements;
using Grid.Units;

namespace Grid.Cli.Drafts;

/// <summary>
/// Seals the secrets of a draft to the nodes that they go to. The same draft is sealed to the same bytes as long as its author's key is there: 32 bytes, mode 0600, made when
/// first needed. Without that key what is sealed stays as it is, and a new plan seals everything anew.
/// </summary>
/// <param name="directory">the draft's, from which its files are named</param>
internal sealed class SecretSealer(Session session, string ledger, AccountId user, string directory)
{
    private byte[]? _author;

    /// <returns>the secret, or why its value cannot be had or sealed</returns>
    public Answer<Secret> Seal(DraftSecret secret, string workload, PublicKey node)
    {
        if (secret.Source is SecretSource.Sealed done)
            return new Secret(secret.At, done.Bytes);
        if (!Value(secret).Try(out var value, out var refusal) || !Author().Try(out var author, out refusal))
            return refusal;
        var ephemeral = SecretSeal.EphemeralOf(author, ledger, user, node, $"{workload}:{secret.At}", value);
        try
        {
            return SecretSeal.Seal(value, ledger, user, node, ephemeral) is { } bytes ? new Secret(secret.At, bytes) : Unsealable(node);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(value);
            CryptographicOperations.ZeroMemory(ephemeral);
        }
    }

    public static Refusal Unsealable(PublicKey node) => new(RefusalCode.SecretNotSealed, $"Nothing can be sealed to the key {node}: it is of small order.", "Choose another node, and ask its farmer about this one.");

    /// <summary>Why a value cannot be sealed as it is; null when it can.</summary>
    public static Refusal? Unfit(string what, ReadOnlySpan<byte> value) => value.Length switch
    {
        0 => new Refusal(RefusalCode.SizeInvalid, $"{what} is empty.", "A secret has a value."),
        > SecretSeal.LargestValue => new Refusal(RefusalCode.TooLarge, $"{what} has {value.Length} bytes; a secret has at most {SecretSeal.LargestValue}.", "Seal a key, and put what it opens into a volume."),
        _ => null,
    };

    private Answer<byte[]> Value(DraftSecret secret)
    {
        byte[] value;
        string what;
        if (secret.Source is SecretSource.File file)
        {
            what = file.Path;
            // Room for the line's end, and to say how long it is.
            if (!Files.ReadBytes(Path.Combine(directory, file.Path), 1 << 20).Try(out value!, out var refusal))
                return refusal;
        }
        else
        {
            var name = ((SecretSource.Variable)secret.Source).Name;
            what = $"The variable {name}";
            if (session.Shell.Environment(name) is not { } text)
                return new Refusal(RefusalCode.MissingField, $"{what} is not set; the secret '{secret.At}' is taken from it.", "Set it, or name a file.");
            value = Encoding.UTF8.GetBytes(text);
        }
        // A file goes as it is. A variable is a line, and editors end theirs.
        if (!secret.IsFile && value.AsSpan().EndsWith("\n"u8))
            value = value[..^(value.AsSpan().EndsWith("\r\n"u8) ? 2 : 1)];
        if (!secret.IsFile && value.Contains((byte)0))
            return new Refusal(RefusalCode.Malformed, $"{what} holds a zero byte, which no variable can.", "Let the workload find it as a file: name it by an absolute path.");
        if (!secret.IsFile && !System.Text.Unicode.Utf8.IsValid(value))
            return new Refusal(RefusalCode.Malformed, $"{what} is no text, which a variable is.", "Let the workload find it as a file: name it by an absolute path.");
        return Unfit(what, value) is { } unfit ? unfit : value;
    }

    private Answer<byte[]> Author()
    {
        if (_author is not null)
            return _author;
        var path = session.Context.SecretsKeyFile;
        if (!File.Exists(path))
        {
            var made = session.Shell.Random(32);
            return Files.Replace(path, made) is { } failed ? failed : _author = made;
        }
        if (!Files.ReadBytes(path, 32).Try(out var bytes, out var refusal))
            return refusal;
        return bytes.Length == 32 ? _author = bytes : new Refusal(CliCode.KeyFileInvalid, $"{path} has {bytes.Length} bytes, not 32.", "Move it away; another is made, and secrets are sealed anew.");
    }
}
