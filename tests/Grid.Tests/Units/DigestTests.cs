using FsCheck.Fluent;
using Grid.Units;

namespace Grid.Tests;

public sealed class DigestTests
{
    private static readonly FsCheck.Gen<(byte[] A, byte[] B)> Pairs =
        from a in Gen.Choose(0, 255).Select(i => (byte)i).ArrayOf(32)
        from same in Gen.Choose(0, 32)
        from rest in Gen.Choose(0, 255).Select(i => (byte)i).ArrayOf(32)
        select (a, (byte[])[.. a[..same], .. rest[same..]]);

    [Fact]
    public void Digests_order_as_their_bytes_do() => Law.Holds(Pairs, p =>
        int.Sign(new Digest(p.A).CompareTo(new Digest(p.B))) == int.Sign(p.A.AsSpan().SequenceCompareTo(p.B))
        && (new Digest(p.A) == new Digest(p.B)) == p.A.AsSpan().SequenceEqual(p.B));

    [Fact]
    public void A_digest_comes_back_from_its_bytes_and_its_text() => Law.Holds(Pairs, p =>
        new Digest(p.A).ToArray().AsSpan().SequenceEqual(p.A) && Digest.ParseHex(new Digest(p.A).ToString()) == new Digest(p.A));

    [Fact]
    public void Short_and_long_are_hashed_alike()
    {
        var data = Enumerable.Range(0, 300).Select(i => (byte)(i * 31)).ToArray();
        for (var length = 0; length <= data.Length; length++)
            Assert.Equal(System.Security.Cryptography.SHA256.HashData(data.AsSpan(0, length)), Digest.Of(data.AsSpan(0, length)).ToArray());
    }

    [Fact]
    public void Only_32_bytes_are_a_digest()
    {
        Assert.Throws<FormatException>(() => new Digest(new byte[31]));
        Assert.Throws<FormatException>(() => new Digest(new byte[33]));
        Assert.Throws<FormatException>(() => Digest.ParseHex("00"));
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Digest.Of("abc"u8).ToString());
    }
}
