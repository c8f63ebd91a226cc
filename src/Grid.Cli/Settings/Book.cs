using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grid.Client;
using Grid.Units;

namespace Grid.Cli.Settings;

/// <summary>
/// Names that this machine's user gives to ids. They never leave the machine: what is signed holds ids only.
/// </summary>
/// <param name="Drafts">what was laid down half-signed under the name of an agreement that is to be, or to be amended</param>
public sealed record Book(
    int Version, ImmutableSortedDictionary<string, BookAccount> Accounts, ImmutableSortedDictionary<string, string> Nodes,
    ImmutableSortedDictionary<string, string> Offers, ImmutableSortedDictionary<string, string> Agreements, ImmutableSortedDictionary<string, BookDraft>? Drafts = null)
{
    public ImmutableSortedDictionary<string, BookDraft> Drafts { get; init; } = Drafts ?? Sorted<BookDraft>();

    private const string Restore = "Put back a copy of it, or move it away: ids go on working, and the names can be given again.";

    public static readonly Book Empty = new(1, Sorted<BookAccount>(), Sorted<string>(), Sorted<string>(), Sorted<string>());

    public static Answer<Book> Load(string path)
    {
        if (!File.Exists(path))
            return Empty;
        if (!Files.ReadBytes(path, 8 << 20).Try(out var bytes, out var refusal))
            return refusal;
        try
        {
            return JsonSerializer.Deserialize(bytes, BookContext.Default.Book) is { Version: 1 } book
                ? book
                : new Refusal(CliCode.ConfigInvalid, $"{path} is not an address book of version 1.", Restore);
        }
        catch (JsonException e)
        {
            return new Refusal(CliCode.ConfigInvalid, $"{path} is not an address book: line {(e.LineNumber ?? 0) + 1} is not as one is written.", Restore);
        }
    }

    public Refusal? Save(string path) => Files.Replace(path, JsonSerializer.SerializeToUtf8Bytes(this, BookContext.Default.Book));

    /// <summary>The name under which an id is known here, else the id.</summary>
    public string NameOf(AgreementId id) => Agreements.FirstOrDefault(a => a.Value == id.ToString()).Key ?? id.ToString();

    private static ImmutableSortedDictionary<string, T> Sorted<T>() => ImmutableSortedDictionary.Create<string, T>(StringComparer.Ordinal);
}

/// <param name="Keys">names of the keys in the key ring that sign for it</param>
public sealed record BookAccount(string Id, ImmutableArray<string> Keys);

/// <param name="Account">whose statement it is</param>
/// <param name="Until">when the ledger accepts it no more</param>
public sealed record BookDraft(string Id, string Account, DateTimeOffset Until);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Book))]
internal sealed partial class BookContext : JsonSerializerContext;
