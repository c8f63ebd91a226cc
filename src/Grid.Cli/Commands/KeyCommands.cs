using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Keys;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Statements;

namespace Grid.Cli.Commands;

internal static class KeyCommands
{
    public static Command Build(Frame frame) => Frame.Noun("key", "Private keys on this machine", New(frame), List(frame), Show(frame), Import(frame), Export(frame));

    private static Command New(Frame frame)
    {
        var name = Name();
        var plain = NoPassphrase();
        return frame.Verb("new", "Make a key, sealed with a passphrase", [name, plain], (session, _) =>
        {
            var seed = session.Shell.Random(SigningKey.SeedSize);
            return Task.FromResult(Add(session, session.Value(name), seed, session.Value(plain)));
        });
    }

    private static Command List(Frame frame) => frame.Reading("list", "The keys on this machine", [], (session, _) =>
    {
        var keys = session.Keys.List().ToImmutableArray();
        return Task.FromResult(Outcome.Of(
            new JsonObject { ["items"] = Render.Array(keys.Select(Describe)) },
            new Block.Table(["name", "key", "protection"], [.. keys.Select(k => ImmutableArray.Create<Cell>(k.Name, k.Key, Protection(k)))], "no keys; make one with 'grid key new NAME'")));
    });

    private static Command Show(Frame frame)
    {
        var name = Name(existing: frame);
        return frame.Reading("show", "A key's public half", [name], (session, _) => Task.FromResult(
            session.Keys.Load(session.Value(name)).Try(out var key, out var refusal) ? Shown(key) : refusal));
    }

    private static Command Import(Frame frame)
    {
        var name = Name();
        var file = new Option<string>("--file", "-f") { Description = "A key file, or 64 hexadecimal digits; - reads standard input", Required = true, HelpName = "FILE" };
        var plain = NoPassphrase();
        return frame.Verb("import", "Take in a key from a file", [name, file, plain], (session, _) => Task.FromResult(ImportFrom(session, session.Value(name), session.Value(file)!, session.Value(plain))));
    }

    private static Command Export(Frame frame)
    {
        var name = Name(existing: frame);
        var file = new Option<string>("--file", "-f") { Description = "Where to write it, mode 0600; it stays sealed as it is", Required = true, HelpName = "FILE" };
        return frame.Verb("export", "Copy a key to a file, for a back-up", [name, file], (session, _) =>
        {
            if (!session.Keys.Load(session.Value(name)).Try(out var key, out var refusal) || (refusal = KeyRing.Write(session.Value(file)!, key)) is not null)
                return Task.FromResult<Outcome>(refusal);
            return Task.FromResult(Shown(key));
        });
    }

    private static Outcome ImportFrom(Session session, string name, string file, bool plain)
    {
        if (file != "-" && KeyRing.Read(file).Try(out var known, out var refusal))
        {
            string? passphrase = null;
            if (known.IsSealed && !new Passphrases(session.Shell).ForOpening(known.Name).Try(out passphrase, out refusal))
                return refusal;
            return known.Open(passphrase) is { } opened
                ? Add(session, name, opened, plain)
                : new Refusal(CliCode.PassphraseWrong, $"That passphrase does not open {file}.", "Try again; there is no other way in.");
        }
        string text;
        if (file == "-")
            text = session.Shell.In.ReadLine() ?? "";
        else if (!Files.ReadText(file, 4096).Try(out text!, out refusal))
            return refusal;
        text = text.Trim();
        return text.Length == 64 && text.All(char.IsAsciiHexDigit)
            ? Add(session, name, Convert.FromHexString(text), plain)
            : new Refusal(CliCode.KeyFileInvalid, $"{(file == "-" ? "Standard input" : file)} is neither a key file that only you can read nor 64 hexadecimal digits.", "Give a file of 'grid key export', or the 32 bytes of an Ed25519 seed in hexadecimal.");
    }

    private static Outcome Add(Session session, string name, byte[] seed, bool plain)
    {
        if (!Units.Names.IsValid(name, 1, 40))
            return new Refusal(RefusalCode.NameInvalid, $"'{name}' cannot be a key's name.", "Names have 1–40 lower-case letters, digits and hyphens.");
        if (File.Exists(session.Keys.PathOf(name)))
            return new Refusal(CliCode.KeyExists, $"There is a key '{name}' already.", "Choose another name; a key is never overwritten.");
        KeyFile key;
        if (plain)
            key = KeyFile.Plain(name, seed);
        else if (new Passphrases(session.Shell).ForSealing(name).Try(out var passphrase, out var refusal))
            key = KeyFile.Seal(name, seed, passphrase, session.Shell.Random, KeyFile.Cost.Recommended);
        else
            return refusal;
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(seed);
        return session.Keys.Add(key) is { } failed ? failed : Shown(key);
    }

    private static Outcome Shown(KeyFile key) => Outcome.Of(Describe(key), new Block.Fields([("name", key.Name), ("key", key.Key), ("protection", Protection(key))]));

    private static JsonNode Describe(KeyFile key) => new JsonObject { ["name"] = key.Name, ["key"] = key.Key, ["protection"] = key.IsSealed ? "passphrase" : "file-mode" };

    private static string Protection(KeyFile key) => key.IsSealed ? "passphrase" : "file mode only";

    private static Option<bool> NoPassphrase() => new("--no-passphrase") { Description = "Guard it by the file's mode alone; for machines, not for people" };

    private static Argument<string> Name(Frame? existing = null)
    {
        var name = new Argument<string>("NAME") { Description = "The key's name on this machine" };
        if (existing is not null)
            name.CompletionSources.Add(context => Completion.Keys(existing, context.ParseResult));
        return name;
    }
}
