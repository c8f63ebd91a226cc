using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Units;

namespace Grid.Agreements;

/// <summary>
/// The text form of a bundle, one file or one HTTP answer:
/// <code>
/// { "version": 1, "origin": text, "agreement": "agr1…", "checkpoint": signed note, "entries": [ { "index": n, "entry": base64, "path": [hex, …] } ] }
/// </code>
/// JSON carries it; nothing in JSON is signed.
/// </summary>
public static class BundleJson
{
    public const int Version = 1;

    public static byte[] Format(Bundle bundle) => JsonSerializer.SerializeToUtf8Bytes(
        new BundleDocument(Version, bundle.Origin, bundle.Agreement.ToString(), bundle.Checkpoint,
            [.. bundle.Entries.Select(e => new BundleEntryDocument(e.Index, e.Entry.ToArray(), [.. e.Path.Select(p => p.ToString())]))]),
        BundleContext.Default.BundleDocument);

    /// <summary>False with the reason when the text is not a bundle of version 1.</summary>
    public static bool TryParse(ReadOnlySpan<byte> json, [NotNullWhen(true)] out Bundle? bundle, [NotNullWhen(false)] out Refusal? refusal)
    {
        (bundle, refusal) = (null, null);
        try
        {
            WholeJson.Check(json);
            var document = JsonSerializer.Deserialize(json, BundleContext.Default.BundleDocument);
            if (document is null || document.Version != Version)
            {
                refusal = new Refusal(RefusalCode.UnknownVersion, $"This is not a bundle of version {Version}.");
                return false;
            }
            bundle = new Bundle(document.Origin, Id.Parse<AgreementId>(document.Agreement), document.Checkpoint,
                [.. document.Entries.Select(e => new BundleEntry(e.Index, e.Entry, [.. e.Path.Select(p => Digest.ParseHex(p))]))]);
            return true;
        }
        catch (JsonException e)
        {
            refusal = new Refusal(RefusalCode.Malformed, $"The bundle cannot be read: line {(e.LineNumber ?? 0) + 1} is not as a bundle is written.");
            return false;
        }
        catch (FormatException e)
        {
            refusal = new Refusal(RefusalCode.Malformed, $"The bundle cannot be read: {e.Message}");
            return false;
        }
    }
}

internal sealed record BundleDocument(int Version, string Origin, string Agreement, string Checkpoint, ImmutableArray<BundleEntryDocument> Entries);

internal sealed record BundleEntryDocument(long Index, byte[] Entry, ImmutableArray<string> Path);

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, AllowDuplicateProperties = false,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, NumberHandling = JsonNumberHandling.Strict)]
[JsonSerializable(typeof(BundleDocument))]
internal sealed partial class BundleContext : JsonSerializerContext;
