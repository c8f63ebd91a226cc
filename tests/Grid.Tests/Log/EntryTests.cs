using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests;

public sealed class EntryTests
{
    private static readonly DateTimeOffset Time = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    [Fact]
    public void An_entry_has_exactly_this_form()
    {
        var entry = Entry.Record(7, Time, new byte[] { 1, 2, 3 });
        Assert.Equal("a36474696d651a6b49d20065696e646578076973746174656d656e7443010203", Convert.ToHexStringLower(entry.Bytes.Span));
        Assert.Equal(MerkleTree.LeafHash(entry.Bytes.Span), entry.LeafHash);
        var read = Entry.Decode(entry.Bytes);
        Assert.Equal((7, Time, entry.LeafHash), (read.Index, read.Time, read.LeafHash));
        Assert.Equal([1, 2, 3], read.StatementBytes.ToArray());
    }

    [Theory]
    [InlineData("a36474696d651a6b49d20065696e646578076973746174656d656e744301020300", RefusalCode.Malformed)]
    [InlineData("a36474696d651a6b49d20065696e64657818076973746174656d656e7443010203", RefusalCode.Malformed)]
    [InlineData("a365696e646578076474696d651a6b49d2006973746174656d656e7443010203", RefusalCode.MissingField)] // unsorted: where "time" must stand, it is missing
    [InlineData("a26474696d651a6b49d20065696e64657807", RefusalCode.MissingField)]
    [InlineData("a4616100" + "6474696d651a6b49d20065696e646578076973746174656d656e7443010203", RefusalCode.UnknownField)]
    [InlineData("bf6474696d651a6b49d20065696e646578076973746174656d656e7443010203ff", RefusalCode.Malformed)]
    [InlineData("a36474696d651a6b49d20065696e646578206973746174656d656e7443010203", RefusalCode.Malformed)]
    public void What_encoding_would_not_produce_is_refused(string hex, string code) =>
        Assert.Equal(code, Assert.Throws<StatementFormatException>(() => Entry.Decode(Convert.FromHexString(hex))).Code);

    [Fact]
    public void The_largest_statement_fits_an_entry_bundle_and_a_larger_one_is_refused()
    {
        var entry = Entry.Record(long.MaxValue, DateTimeOffset.FromUnixTimeSeconds(253_402_300_799), new byte[Statement.MaximumSize]);
        Assert.True(entry.Bytes.Length <= Entry.MaximumSize);
        Assert.Equal(long.MaxValue, Entry.Decode(entry.Bytes).Index);
        Assert.Throws<ArgumentOutOfRangeException>(() => Entry.Record(0, Time, new byte[Statement.MaximumSize + 1]));
        var larger = CanonicalWriter.Encode(w => w.Map(3, m =>
        {
            m.Key("time").Time(Time);
            m.Key("index").UInt(0);
            m.Key("statement").ByteString(new byte[Statement.MaximumSize + 1]);
        }));
        Assert.Equal(RefusalCode.TooLarge, Assert.Throws<StatementFormatException>(() => Entry.Decode(larger)).Code);
    }

    [Fact]
    public void Parts_of_a_second_are_our_own_mistake()
    {
        Assert.Throws<ArgumentException>(() => Entry.Record(0, Time.AddTicks(1), new byte[1]));
        Assert.Equal(Time, Entry.Record(0, Time.ToOffset(TimeSpan.FromHours(5)), new byte[1]).Time);
    }
}
