using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Grid.Api;

// What the API answers. Every document names the index of the newest entry it takes account of.

public sealed record LedgerDocument(string Origin, string Key, long Index, string Version);

/// <param name="Id">of the statement</param>
/// <param name="Entry">the exact bytes of the leaf</param>
/// <param name="Size">of the tree that the path leads into, the checkpoint's</param>
/// <param name="Path">RFC 6962 inclusion path from the leaf up, hexadecimal</param>
public sealed record RecordedDocument(
    string Id, long Index, DateTimeOffset Time, bool Known, ReadOnlyMemory<byte> Entry, long Size, ImmutableArray<string> Path, string Checkpoint, ImmutableArray<string> Events);

public sealed record InclusionDocument(long Index, long Size, ImmutableArray<string> Path);

public sealed record ConsistencyDocument(long From, long To, ImmutableArray<string> Path);

public sealed record DraftedDocument(string Id);

public sealed record DraftDocument(string Id, ReadOnlyMemory<byte> Statement);

public sealed record DraftsDocument(long Index, ImmutableArray<DraftDocument> Items);

/// <param name="Next">the cursor of the next page; null on the last</param>
public sealed record PageDocument<T>(long Index, ImmutableArray<T> Items, string? Next);

public sealed record AccountDocument(long Index, AccountView Account);

public sealed record FarmDocument(long Index, FarmView Farm);

public sealed record NodeDocument(long Index, NodeView Node);

public sealed record OfferDocument(long Index, OfferView Offer);

public sealed record NameDocument(long Index, NameView Name);

/// <param name="Newest">the index of the newest entry about it, receipts included, which change nothing that the view shows</param>
public sealed record AgreementDocument(long Index, AgreementView Agreement, long Newest);

/// <param name="Asked">the number of the newest of <paramref name="Asks"/>, to be given with the next call; only to who gave one</param>
/// <param name="Asks">signed requests for logs (application/cbor)</param>
public sealed record NodeAgreementsDocument(long Index, ImmutableArray<NodeAgreementItem> Items, long? Asked = null, ReadOnlyMemory<byte>[]? Asks = null);

/// <param name="Changed">the index of the newest entry that changed its state</param>
public sealed record NodeAgreementItem(string Id, long Changed, string Status);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ProblemDocument))]
[JsonSerializable(typeof(LedgerDocument))]
[JsonSerializable(typeof(RecordedDocument))]
[JsonSerializable(typeof(InclusionDocument))]
[JsonSerializable(typeof(ConsistencyDocument))]
[JsonSerializable(typeof(DraftedDocument))]
[JsonSerializable(typeof(DraftsDocument))]
[JsonSerializable(typeof(PageDocument<FarmView>))]
[JsonSerializable(typeof(PageDocument<NodeView>))]
[JsonSerializable(typeof(PageDocument<OfferView>))]
[JsonSerializable(typeof(PageDocument<AgreementView>))]
[JsonSerializable(typeof(AccountDocument))]
[JsonSerializable(typeof(FarmDocument))]
[JsonSerializable(typeof(NodeDocument))]
[JsonSerializable(typeof(OfferDocument))]
[JsonSerializable(typeof(NameDocument))]
[JsonSerializable(typeof(AgreementDocument))]
[JsonSerializable(typeof(NodeAgreementsDocument))]
internal sealed partial class ApiJson : JsonSerializerContext;
