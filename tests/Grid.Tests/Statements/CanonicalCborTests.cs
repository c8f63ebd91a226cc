using System.Formats.Cbor;
using FsCheck.Fluent;
using Grid.Statements;

namespace Grid.Tests;

/// <summary>Our reader and writer of deterministic CBOR beside the framework's, which know nothing of each other.</summary>
public sealed class CanonicalCborTests
{
    [Fact]
    public void What_one_reader_takes_the_other_takes_too() => Law.Holds(Gen.Choose(0, int.MaxValue), seed =>
    {
        var random = new Random(seed);
        var any = new AnyBody(random);
        var kinds = Body.KnownKinds.ToArray();
        var bytes = any.Payload(kinds[random.Next(kinds.Length)]).Encode();
        for (var round = 0; round < 50; round++)
        {
            var changed = bytes[..random.Next(bytes.Length / 2, bytes.Length + 1)];
            for (var i = random.Next(0, 4); i > 0; i--)
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            if (Agree(changed) is false)
                return false;
        }
        return true;
    });

    [Fact]
    public void Small_noise_is_taken_by_both_or_by_neither()
    {
        var random = new Random(7);
        var noise = new byte[12];
        for (var round = 0; round < 200_000; round++)
        {
            random.NextBytes(noise);
            // Mostly small maps, arrays and texts.
            for (var i = 0; i < noise.Length; i += 2)
                noise[i] = (byte)((random.Next(8) << 5) | random.Next(4));
            Assert.True(Agree(noise[..random.Next(1, 13)]), Convert.ToHexString(noise));
        }
    }

    [Fact]
    public void Whatever_the_order_of_writing_the_map_is_the_one_the_framework_writes() => Law.Holds(Gen.Choose(0, int.MaxValue), seed =>
    {
        var random = new Random(seed);
        var fields = Enumerable.Range(0, random.Next(40)).Select(_ => (Key: Text(random, 40), Value: random.NextInt64() >> random.Next(63))).DistinctBy(f => f.Key).ToArray();
        var theirs = new CborWriter(CborConformanceMode.Canonical);
        theirs.WriteStartMap(fields.Length);
        foreach (var (key, value) in fields)
        {
            theirs.WriteTextString(key);
            theirs.WriteStartMap(1);
            theirs.WriteInt64(-value);
            theirs.WriteTextString(Text(new Random(seed), 300));
            theirs.WriteEndMap();
        }
        theirs.WriteEndMap();
        var ours = CanonicalWriter.Encode(w => w.Map(fields.Length, m =>
        {
            foreach (var (key, value) in fields)
                m.Key(key).Map(1, x => x.Key(-value).Text(Text(new Random(seed), 300)));
        }), capacity: 1);
        return ours.AsSpan().SequenceEqual(theirs.Encode());
    });

    [Fact]
    public void A_field_written_twice_or_left_out_is_a_defect()
    {
        Assert.Throws<InvalidOperationException>(() => CanonicalWriter.Encode(w => w.Map(2, m => m.Key("a").Key("a"))));
        Assert.Throws<InvalidOperationException>(() => CanonicalWriter.Encode(w => w.Map(3, m => m.Key("b").Key("a").Key("b"))));
        Assert.Throws<InvalidOperationException>(() => CanonicalWriter.Encode(w => w.Map(2, m => m.Key("a").Null())));
    }

    private static bool Agree(byte[] bytes) => Ours(bytes) ? Theirs(bytes) : !Theirs(bytes) || !IsOfOurKinds(new CborReader(bytes, CborConformanceMode.Lax), 0);

    private static bool Ours(byte[] bytes)
    {
        try
        {
            CanonicalReader.ReadAll(bytes, r => r.Encoded());
            return true;
        }
        catch (StatementFormatException)
        {
            return false;
        }
    }

    private static bool Theirs(byte[] bytes)
    {
        try
        {
            var reader = new CborReader(bytes, CborConformanceMode.Canonical);
            reader.SkipValue();
            return reader.BytesRemaining == 0;
        }
        catch (Exception e) when (e is CborContentException or InvalidOperationException)
        {
            return false;
        }
    }

    // The framework also knows floats, other simple values, any depth, and for keys of several kinds the order of an older RFC.
    private static bool IsOfOurKinds(CborReader r, int depth)
    {
        switch (r.PeekState())
        {
            case CborReaderState.StartArray:
                r.ReadStartArray();
                while (r.PeekState() != CborReaderState.EndArray)
                {
                    if (!IsOfOurKinds(r, depth + 1))
                        return false;
                }
                r.ReadEndArray();
                return depth < 16;
            case CborReaderState.StartMap:
                r.ReadStartMap();
                while (r.PeekState() != CborReaderState.EndMap)
                {
                    if (r.PeekState() != CborReaderState.TextString || !IsOfOurKinds(r, depth + 1) || !IsOfOurKinds(r, depth + 1))
                        return false;
                }
                r.ReadEndMap();
                return depth < 16;
            case CborReaderState.Tag:
                r.ReadTag();
                return IsOfOurKinds(r, depth + 1);
            case CborReaderState.UnsignedInteger or CborReaderState.NegativeInteger or CborReaderState.ByteString or CborReaderState.TextString
                or CborReaderState.Boolean or CborReaderState.Null:
                r.SkipValue();
                return true;
            default:
                return false;
        }
    }

    private static string Text(Random random, int longest) =>
        string.Concat(Enumerable.Range(0, random.Next(longest)).Select(_ => random.Next(8) == 0 ? "ß" : ((char)random.Next('a', 'd')).ToString()));
}
