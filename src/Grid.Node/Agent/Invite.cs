using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Statements;
using Grid.Units;

namespace Grid.Node.Agent;

/// <summary>The farmer's invite as it travels on the boot media: a one-time secret.</summary>
/// <param name="Version">1</param>
/// <param name="Farm">farm1…</param>
/// <param name="Invite">st1…, the statement that invites</param>
/// <param name="Seed">base64 of the invite key's 32-byte seed</param>
/// <param name="Expires">RFC 3339; after it the ledger takes the invite no more</param>
/// <param name="Ledger">where the farmer's ledger is, its name and its key: hints for whoever writes the boot media; the node is told its own</param>
public sealed record InviteFile(
    int Version, string Farm, string Invite, string Seed, string? Expires = null, string? Ledger = null, string? Origin = null, string? LedgerKey = null, string? Hub = null);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(InviteFile))]
internal sealed partial class InviteContext : JsonSerializerContext;

/// <summary>An invite that can be used: what it names, and the key that signs with the node's.</summary>
internal sealed record Invite(FarmId Farm, StatementId Id, SigningKey Key) : IDisposable
{
    private const int Version = 1;

    /// <exception cref="NodeException">it cannot be read, or something in it is not what it should be; its seed is not said</exception>
    public static Invite Read(string path)
    {
        var file = Parse(path);
        if (file.Version != Version)
            throw Unusable(path, $"its version is {file.Version}, not {Version}");
        if (!Units.Id.TryParse<FarmId>(file.Farm, out var farm))
            throw Unusable(path, $"its farm '{file.Farm}' is not of the form farm1…");
        if (!Units.Id.TryParse<StatementId>(file.Invite, out var invite))
            throw Unusable(path, $"its invite '{file.Invite}' is not of the form st1…");
        // Longer than a seed it does not fit, and is not read.
        Span<byte> seed = stackalloc byte[SigningKey.SeedSize];
        if (!Convert.TryFromBase64String(file.Seed, seed, out var length) || length != seed.Length)
            throw Unusable(path, $"its seed is not the base64 of {SigningKey.SeedSize} bytes");
        try
        {
            return new Invite(farm, invite, SigningKey.FromSeed(seed));
        }
        finally
        {
            System.Security.Cryptography.CryptographicOperations.ZeroMemory(seed);
        }
    }

    public void Dispose() => Key.Dispose();

    private static InviteFile Parse(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), InviteContext.Default.InviteFile) ?? throw Unusable(path, "it is empty");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new NodeException(NodeCode.InviteInvalid, $"The invite {path} cannot be read: {e.Message}", "Copy the farmer's file again, whole and unchanged.");
        }
    }

    private static NodeException Unusable(string path, string why) =>
        new(NodeCode.InviteInvalid, $"The invite {path} cannot be used: {why}.", "Copy the farmer's file again, whole and unchanged, or ask for a new invite.");
}
