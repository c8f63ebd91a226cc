using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Formats.Cbor;
using System.Text;
using System.Text.Json.Nodes;

namespace Grid.Tests;

/// <summary>CBOR as a tree that can be bent and written in any form, right or wrong. It sorts nothing and checks nothing.</summary>
internal abstract record RawCbor
{
    public static RawCbor Read(ReadOnlyMemory<byte> bytes) => Read(new CborReader(bytes, CborConformanceMode.Lax));

    public static RawCbor Text(string text) => new RawString(3, Encoding.UTF8.GetBytes(text));

    public static RawCbor Bytes(params ReadOnlySpan<byte> bytes) => new RawString(2, bytes.ToArray());

    public static RawCbor List(params ReadOnlySpan<RawCbor> items) => new RawList([.. items]);

    public static RawCbor UInt(ulong value) => new RawInteger(0, value);

    public abstract void Write(List<byte> to);

    /// <summary>For people and for readers in other languages: byte strings become {"bytes": hex}.</summary>
    public abstract JsonNode? ToJson();

    public byte[] Encode()
    {
        var bytes = new List<byte>();
        Write(bytes);
        return [.. bytes];
    }

    /// <summary>The same tree with what stands at the path changed; a path is keys and positions.</summary>
    public RawCbor With(Func<RawCbor, RawCbor> change, params ReadOnlySpan<object> path) => path.IsEmpty ? change(this) : (this, path[0]) switch
    {
        (RawMap map, string key) => map with { Fields = map.Fields.SetItem(map.IndexOf(key), new(Text(key), map[key].With(change, path[1..]))) },
        (RawList list, int index) => list with { Items = list.Items.SetItem(index, list.Items[index].With(change, path[1..])) },
        _ => throw new ArgumentException($"There is no {path[0]} here."),
    };

    protected static void Head(List<byte> to, int major, ulong value, int width = -1)
    {
        if (width < 0)
            width = value switch { < 24 => 0, <= byte.MaxValue => 1, <= ushort.MaxValue => 2, <= uint.MaxValue => 4, _ => 8 };
        var info = width switch { 0 => (int)value, 1 => 24, 2 => 25, 4 => 26, _ => 27 };
        to.Add((byte)((major << 5) | info));
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        to.AddRange(bytes[(8 - width)..]);
    }

    private static RawCbor Read(CborReader r)
    {
        switch (r.PeekState())
        {
            case CborReaderState.UnsignedInteger:
                return new RawInteger(0, r.ReadUInt64());
            case CborReaderState.NegativeInteger:
                return new RawInteger(1, r.ReadCborNegativeIntegerRepresentation());
            case CborReaderState.ByteString:
                return Bytes(r.ReadByteString());
            case CborReaderState.TextString:
                return Text(r.ReadTextString());
            case CborReaderState.Null:
                r.ReadNull();
                return new RawBytes([0xf6]);
            case CborReaderState.StartArray:
                var items = ImmutableList.CreateBuilder<RawCbor>();
                r.ReadStartArray();
                while (r.PeekState() != CborReaderState.EndArray)
                    items.Add(Read(r));
                r.ReadEndArray();
                return new RawList(items.ToImmutable());
            default:
                var fields = ImmutableList.CreateBuilder<KeyValuePair<RawCbor, RawCbor>>();
                r.ReadStartMap();
                while (r.PeekState() != CborReaderState.EndMap)
                    fields.Add(new(Read(r), Read(r)));
                r.ReadEndMap();
                return new RawMap(fields.ToImmutable());
        }
    }
}

/// <param name="Width">bytes behind the head; -1 for the shortest</param>
internal sealed record RawInteger(int Major, ulong Value, int Width = -1) : RawCbor
{
    public override void Write(List<byte> to) => Head(to, Major, Value, Width);

    public override JsonNode? ToJson() => Major == 0 ? JsonValue.Create(Value) : JsonValue.Create(-1 - (long)Value);
}

internal sealed record RawString(int Major, byte[] Value, int Width = -1) : RawCbor
{
    public override void Write(List<byte> to)
    {
        Head(to, Major, (ulong)Value.Length, Width);
        to.AddRange(Value);
    }

    public override JsonNode? ToJson() => Major == 3 ? JsonValue.Create(Encoding.UTF8.GetString(Value)) : new JsonObject { ["bytes"] = Convert.ToHexStringLower(Value) };
}

internal sealed record RawList(ImmutableList<RawCbor> Items, bool Indefinite = false) : RawCbor
{
    public override void Write(List<byte> to)
    {
        if (Indefinite)
            to.Add(0x9f);
        else
            Head(to, 4, (ulong)Items.Count);
        foreach (var item in Items)
            item.Write(to);
        if (Indefinite)
            to.Add(0xff);
    }

    public override JsonNode? ToJson() => new JsonArray([.. Items.Select(i => i.ToJson())]);
}

internal sealed record RawMap(ImmutableList<KeyValuePair<RawCbor, RawCbor>> Fields, bool Indefinite = false) : RawCbor
{
    public IEnumerable<string> Names => Fields.Select(f => Encoding.UTF8.GetString(((RawString)f.Key).Value));

    public RawCbor this[string key] => Fields[IndexOf(key)].Value;

    public int IndexOf(string key) => Names.ToList().IndexOf(key);

    public RawMap Without(string key) => this with { Fields = Fields.RemoveAt(IndexOf(key)) };

    /// <summary>Puts a field where canonical order wants it.</summary>
    public RawMap And(string key, RawCbor value)
    {
        var at = Names.Count(n => n.Length < key.Length || (n.Length == key.Length && string.CompareOrdinal(n, key) < 0));
        return this with { Fields = Fields.Insert(at, new(Text(key), value)) };
    }

    public override void Write(List<byte> to)
    {
        if (Indefinite)
            to.Add(0xbf);
        else
            Head(to, 5, (ulong)Fields.Count);
        foreach (var (key, value) in Fields)
        {
            key.Write(to);
            value.Write(to);
        }
        if (Indefinite)
            to.Add(0xff);
    }

    public override JsonNode? ToJson() => new JsonObject(Names.Zip(Fields, (n, f) => new KeyValuePair<string, JsonNode?>(n, f.Value.ToJson())));
}

/// <summary>Bytes that are written as they are.</summary>
internal sealed record RawBytes(byte[] Value) : RawCbor
{
    public override void Write(List<byte> to) => to.AddRange(Value);

    public override JsonNode? ToJson() => Value is [0xf6] ? null : throw new InvalidOperationException("Only good statements are shown.");
}
