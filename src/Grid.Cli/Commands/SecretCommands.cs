using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Grid.Cli.Drafts;
using Grid.Cli.Output;
using Grid.Cli.Settings;
using Grid.Client;
using Grid.Secrets;

namespace Grid.Cli.Commands;

internal static class SecretCommands
{
    public static Command Build(Frame frame) => Frame.Noun("secret", "What only a node may read", Seal(frame));

    private static Command Seal(Frame frame)
    {
        var node = NodeCommands.Node(frame);
        var file = new Option<string>("--file", "-f") { Description = "What is sealed, byte for byte; - reads standard input, without it a line is asked for", HelpName = "FILE" };
        return frame.Verb("seal", "Seal a secret to a node, for your account's agreements", [node, file], async (session, cancellation) =>
        {
            if (!session.Book().Try(out var book, out var refusal) || !session.Speaker(session.Context.Account).Try(out var speaker, out refusal)
                || !(await session.LedgerAsync(cancellation).ConfigureAwait(false)).Try(out var ledger, out refusal)
                || !(await new Catalogue(ledger, book, cancellation).NodeAsync(session.Value(node)).ConfigureAwait(false)).Try(out var known, out refusal)
                || !Value(session, session.Value(file)).Try(out var value, out refusal))
                return refusal;
            var ephemeral = session.Shell.Random(32);
            var bytes = SecretSeal.Seal(value, ledger.Trust.Origin, speaker.Id, known.Joined.Key, ephemeral);
            CryptographicOperations.ZeroMemory(value);
            CryptographicOperations.ZeroMemory(ephemeral);
            if (bytes is null)
                return SecretSealer.Unsealable(known.Joined.Key);
            var text = Convert.ToBase64String(bytes);
            return Outcome.Of(
                new JsonObject { ["node"] = known.Id.ToString(), ["account"] = speaker.Id.ToString(), ["sealed"] = text },
                new Block.Fields([("node", known.Id.ToString()), ("account", speaker.Id.ToString()), ("sealed", text)]),
                new Block.Lines(["Write it into a draft's 'secrets' as { sealed: … }. Only that node opens it, and only for agreements of that account."]));
        });
    }

    private static Answer<byte[]> Value(Session session, string? file)
    {
        byte[]? value;
        switch (file)
        {
            case null when session.Shell.Terminal.ReadSecret("What is to be sealed: ") is { } typed:
                value = Encoding.UTF8.GetBytes(typed);
                break;
            case null:
                return new Refusal(CliCode.Usage, "Nobody is here to type what is to be sealed.", "Name a file with --file, or - for standard input.");
            case "-":
                using (var content = new MemoryStream())
                using (var input = session.Shell.BytesIn())
                {
                    var buffer = new byte[4096];
                    for (int read; content.Length <= SecretSeal.LargestValue && (read = input.Read(buffer)) > 0;)
                        content.Write(buffer, 0, read);
                    value = content.ToArray();
                }
                break;
            default:
                if (!Files.ReadBytes(file, 1 << 20).Try(out value, out var refusal))
                    return refusal;
                break;
        }
        return SecretSealer.Unfit(file is null or "-" ? "What is to be sealed" : file, value) is { } unfit ? unfit : value;
    }
}
