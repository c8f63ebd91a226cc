using System.Net;
using Grid.Statements;

namespace Grid.Networks;

/// <summary>
/// <code>
/// address = bstr .size 4 / bstr .size 16                     ; in network order, as in RFC 9164 §3.1
/// cidr    = { "base": address, "bits": 0..128 }              ; no bit of the base below its bits is set
/// </code>
/// </summary>
public static class AddressFields
{
    private const int LongestAddress = 16;

    public static void Address(this CanonicalWriter w, IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[LongestAddress];
        address.TryWriteBytes(bytes, out var length);
        w.ByteString(bytes[..length]);
    }

    public static IPAddress Address(this CanonicalReader r)
    {
        var bytes = r.ByteString(LongestAddress);
        return bytes.Length is 4 or LongestAddress ? new IPAddress(bytes) : throw CanonicalReader.Malformed($"An address has 4 or 16 bytes, not {bytes.Length}.");
    }

    public static void Cidr(this CanonicalWriter w, IPNetwork cidr) => w.Map(2, m =>
    {
        m.Key("base").Address(cidr.BaseAddress);
        m.Key("bits").UInt(cidr.PrefixLength);
    });

    public static IPNetwork Cidr(this CanonicalReader r) => r.Map(m =>
    {
        var address = m.Field("base").Address();
        var bits = (int)m.Field("bits").UInt(address.GetAddressBytes().Length * 8);
        var host = address.GetAddressBytes().Select((b, i) => b & (bits >= (i + 1) * 8 ? 0 : bits <= i * 8 ? 0xFF : 0xFF >> (bits - i * 8)));
        return host.All(b => b == 0) ? new IPNetwork(address, bits) : throw CanonicalReader.Malformed($"{address}/{bits} has bits set below its {bits}.");
    });

    public static bool IsIPv4(this IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[LongestAddress];
        return address.TryWriteBytes(bytes, out var length) && length == 4;
    }

    /// <summary>IPv4 before IPv6, then bytewise.</summary>
    public static int Order(IPAddress a, IPAddress b)
    {
        var (left, right) = (a.GetAddressBytes(), b.GetAddressBytes());
        return left.Length != right.Length ? left.Length.CompareTo(right.Length) : left.AsSpan().SequenceCompareTo(right);
    }
}
