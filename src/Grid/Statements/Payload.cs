using Grid.Units;

namespace Grid.Statements;

/// <summary>
/// What is signed:
/// <code>
/// payload = { "v": 1, "by": bytes .size 32 / null, "body": {…}, "kind": text, "until": time, "issued": time, "ledger": text }
/// </code>
/// </summary>
/// <param name="Ledger">the origin of the one ledger this is for, 1–255 bytes of printable ASCII without spaces</param>
/// <param name="By">the account, farm or node it speaks for; null only where the body founds the speaker, or the ledger speaks</param>
/// <param name="Issued">when it was written</param>
/// <param name="Until">after this the ledger accepts it no more</param>
public sealed record Payload(string Ledger, Digest? By, DateTimeOffset Issued, DateTimeOffset Until, Body Body)
{
    public const int Version = 1;

    public byte[] Encode() => CanonicalWriter.Encode(w => w.Map(7, m =>
    {
        m.Key("v").UInt(Version);
        if (By is { } by)
            m.Key("by").Digest(by);
        else
            m.Key("by").Null();
        m.Key("body");
        Body.Write(m);
        m.Key("kind").Text(Body.Kind);
        m.Key("until").Time(Until);
        m.Key("issued").Time(Issued);
        m.Key("ledger").Text(Ledger);
    }));

    /// <exception cref="StatementFormatException"/>
    public static Payload Decode(ReadOnlyMemory<byte> bytes) => CanonicalReader.ReadAll(bytes, r => r.Map(m =>
    {
        if (m.Field("v").UInt() is var version and not Version)
            throw new StatementFormatException(RefusalCode.UnknownVersion, $"Payload version {version} is not known; {Version} is.");
        Digest? by = m.Field("by").TryNull() ? null : m.Digest();
        // "kind" sorts after "body": the body's bytes are set aside until its kind is known.
        var body = m.Field("body").Encoded();
        var kind = m.Field("kind").Text(40);
        var until = m.Field("until").Time();
        var issued = m.Field("issued").Time();
        var ledger = m.Field("ledger").Text(255);
        if (!IsOrigin(ledger))
            throw CanonicalReader.Malformed("The ledger's origin must be printable ASCII without spaces.");
        if (until <= issued)
            throw CanonicalReader.Malformed("'until' must be later than 'issued'.");
        return new Payload(ledger, by, issued, until, CanonicalReader.ReadAll(body, Body.Reader(kind)));
    }));

    public static bool IsOrigin(string text) => text.Length is > 0 and <= 255 && text.All(c => c is > ' ' and < (char)0x7f and not '+');
}
