namespace Grid.Units;

/// <summary>
/// The name of a thing: the SHA-256 of the payload that founded it (design: agreement.md, Ids).
/// As text it is Bech32m with the kind as prefix, so a typo is caught and an id of one kind never parses as another.
/// </summary>
public interface IId<TSelf> where TSelf : struct, IId<TSelf>
{
    static abstract string Prefix { get; }

    static abstract TSelf From(Digest value);

    Digest Value { get; }
}

public readonly record struct StatementId(Digest Value) : IId<StatementId>
{
    public static string Prefix => "st";

    public static StatementId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

public readonly record struct AccountId(Digest Value) : IId<AccountId>
{
    public static string Prefix => "acct";

    public static AccountId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

public readonly record struct FarmId(Digest Value) : IId<FarmId>
{
    public static string Prefix => "farm";

    public static FarmId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

public readonly record struct NodeId(Digest Value) : IId<NodeId>
{
    public static string Prefix => "node";

    public static NodeId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

public readonly record struct OfferId(Digest Value) : IId<OfferId>
{
    public static string Prefix => "offer";

    public static OfferId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

public readonly record struct AgreementId(Digest Value) : IId<AgreementId>
{
    public static string Prefix => "agr";

    public static AgreementId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

public readonly record struct FlistId(Digest Value) : IId<FlistId>
{
    public static string Prefix => "fl";

    public static FlistId From(Digest value) => new(value);

    public override string ToString() => Id.Format(this);
}

/// <summary>Text form of every <see cref="IId{TSelf}"/>.</summary>
public static class Id
{
    public static string Format<T>(T id) where T : struct, IId<T> => Bech32m.Encode(T.Prefix, id.Value.ToArray());

    /// <summary>True when the text is a well-formed id of this very kind, in one case of letters.</summary>
    public static bool TryParse<T>(string? text, out T id) where T : struct, IId<T>
    {
        id = default;
        if (!Bech32m.TryDecode(text, out var prefix, out var bytes) || prefix != T.Prefix || bytes.Length != Digest.Size)
            return false;
        id = T.From(new Digest(bytes));
        return true;
    }

    /// <exception cref="FormatException">says which kind was expected and what is wrong with the text</exception>
    public static T Parse<T>(string text) where T : struct, IId<T>
    {
        if (TryParse<T>(text, out var id))
            return id;
        if (Bech32m.TryDecode(text, out var prefix, out _) && prefix != T.Prefix)
            throw new FormatException($"'{text}' names a {prefix}, where a {T.Prefix} is wanted.");
        throw new FormatException($"'{text}' is not an id of the form {T.Prefix}1…; a letter may be missing or mistyped.");
    }
}
