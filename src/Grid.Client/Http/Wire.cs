using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Grid.Client.Http;

// What travels, field for field. Unknown members are passed over: a newer ledger may say more, and what counts is checked against signatures.
internal sealed record RecordedDocument(
    string Id, long Index, DateTimeOffset Time, bool Known, byte[] Entry, long Size, ImmutableArray<string> Path, string Checkpoint, ImmutableArray<string> Events);

internal sealed record ConsistencyDocument(long From, long To, ImmutableArray<string> Path);

internal sealed record InclusionDocument(long Index, long Size, ImmutableArray<string> Path);

internal sealed record LedgerDocument(string Origin, string Key, long Index, string? Version = null);

internal sealed record DraftedDocument(string Id);

internal sealed record DraftsDocument(long Index, ImmutableArray<DraftDocument> Items);

internal sealed record DraftDocument(string Id, byte[] Statement);

internal sealed record NodeNewsDocument(long Index, ImmutableArray<NodeNewsItem> Items, long? Asked = null, ImmutableArray<byte[]>? Asks = null);

internal sealed record NodeNewsItem(string Id, long Changed, string Status);

internal sealed record NameDocument(long Index, NameItem Name);

internal sealed record NameItem(string Name, string Agreement);

internal sealed record ProblemDocument(string? Code = null, string? Detail = null, string? Next = null, string? Title = null);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, MaxDepth = 32)]
[JsonSerializable(typeof(RecordedDocument))]
[JsonSerializable(typeof(ConsistencyDocument))]
[JsonSerializable(typeof(InclusionDocument))]
[JsonSerializable(typeof(LedgerDocument))]
[JsonSerializable(typeof(DraftedDocument))]
[JsonSerializable(typeof(DraftsDocument))]
[JsonSerializable(typeof(NodeNewsDocument))]
[JsonSerializable(typeof(NameDocument))]
[JsonSerializable(typeof(ProblemDocument))]
[JsonSerializable(typeof(JsonElement))]
internal sealed partial class WireContext : JsonSerializerContext;
