using Grid.Agreements;
using Grid.Log;
using Grid.Units;

namespace Grid.Tests.World;

/// <summary>A bundle proves its agreement to somebody who holds the ledger's key and nothing else.</summary>
public sealed class Bundles : IDisposable
{
    private readonly TestGrid _grid = new();

    public void Dispose() => _grid.Dispose();

    [Fact]
    public void A_bundle_verifies_and_survives_its_text_form()
    {
        var (bundle, agreement) = Make();
        Assert.True(BundleJson.TryParse(BundleJson.Format(bundle), out var read, out var why), why?.ToString());
        Assert.Null(read.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified));
        Assert.Equal(("running", agreement.Version), (verified!.Agreement.Status, verified.Agreement.Version));
        Assert.True(verified.History.Length < _grid.Entries.Count, "a proof holds only what it needs");
    }

    [Fact]
    public void Without_its_receipts_a_bundle_proves_the_same_and_grows_no_more()
    {
        var (_, agreement) = Make();
        var small = _grid.Bundle(agreement.Id, receipts: false).Entries.Length;
        for (var i = 0; i < 20; i++)
        {
            _grid.Now += TimeSpan.FromMinutes(5);
            foreach (var node in agreement.Version.Terms.Nodes)
                _grid.Accept(_grid.Receipt(_grid.NodeOf(node), agreement));
        }
        var (full, without) = (_grid.Bundle(agreement.Id), _grid.Bundle(agreement.Id, receipts: false));
        Assert.Null(full.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified));
        Assert.Null(without.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var lean));
        Assert.Equal((small, small + 40), (without.Entries.Length, full.Entries.Length));
        Alike.Same(verified!.Agreement, lean!.Agreement);
        Assert.Equal(verified.Changed, lean.Changed);
        Assert.Equal(2, lean.History.Count(e => e.Statement.Payload.Body is Receipt));
    }

    [Fact]
    public void Another_ledgers_key_or_origin_is_not_believed()
    {
        var (bundle, _) = Make();
        Assert.Equal(RefusalCode.BadCheckpoint, bundle.Verify(TestGrid.Origin, _grid.Key("user-a").Public, out _)!.Code);
        Assert.Equal(RefusalCode.WrongLedger, bundle.Verify("grid.test/other", _grid.Key("ledger").Public, out _)!.Code);
    }

    [Fact]
    public void Leaving_out_or_reordering_what_it_rests_on_is_found()
    {
        var (bundle, _) = Make();
        for (var i = 0; i < bundle.Entries.Length; i++)
        {
            var shorter = bundle with { Entries = bundle.Entries.RemoveAt(i) };
            var refusal = shorter.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified);
            Assert.True(refusal is not null || verified!.Agreement.Status != "running", $"entry {i} was not missed");
        }
        Assert.NotNull((bundle with { Entries = [.. bundle.Entries.Reverse()] }).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out _));
    }

    public static TheoryData<string> Forgeries => [.. Forgery.All.Select(f => f.Name)];

    [Theory]
    [MemberData(nameof(Forgeries))]
    public void What_the_ledgers_own_key_signed_over_is_not_believed_for_that(string name)
    {
        var forgery = Forgery.All.Single(f => f.Name == name);
        var (random, signer, farm) = (new Random(9), _grid.Key("user-a").Public, _grid.Key("alpha").Public);
        var agreement = Make().Agreement;
        var index = _grid.Entries.FindIndex(e => e.Statement.Id.Value == agreement.Id.Value);
        for (var round = 0; round < 20; round++)
        {
            _grid.Forge(index, forgery.Make(_grid.Entries[index].Statement, signer, farm, random));
            var refusal = _grid.Bundle(agreement.Id).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified);
            Assert.Equal((forgery.Code, null), (refusal?.Code, verified));
        }
        _grid.Forge(index, _grid.Entries[index].Statement.Bytes);
        Assert.Null(_grid.Bundle(agreement.Id).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out _));
    }

    [Fact]
    public void Without_the_farms_word_what_its_node_said_later_does_not_follow()
    {
        var agreement = Make().Agreement;
        var index = _grid.Entries.FindIndex(e => e.Statement.Id.Value == agreement.Id.Value);
        _grid.Forge(index, Forgery.WithoutFarm(_grid.Entries[index].Statement, _grid.Key("alpha").Public));
        Assert.NotNull(_grid.Bundle(agreement.Id).Verify(TestGrid.Origin, _grid.Key("ledger").Public, out _));
        var alone = _grid.Bundle(agreement.Id);
        alone = alone with { Entries = [.. alone.Entries.Where(e => e.Index <= index)] };
        Assert.Null(alone.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out var verified));
        Assert.IsType<Agreement.Proposed>(verified!.Agreement);
    }

    [Fact]
    public void No_flipped_bit_is_accepted()
    {
        var (bundle, _) = Make();
        var random = new Random(7);
        for (var round = 0; round < 1000; round++)
        {
            var i = random.Next(bundle.Entries.Length);
            var entry = bundle.Entries[i];
            var node = random.Next(entry.Path.Length);
            var flipped = random.Next(4) switch
            {
                0 => bundle with { Entries = bundle.Entries.SetItem(i, entry with { Entry = Flip(entry.Entry.ToArray()) }) },
                1 => bundle with { Entries = bundle.Entries.SetItem(i, entry with { Path = entry.Path.SetItem(node, new Digest(Flip(entry.Path[node].ToArray()))) }) },
                2 => bundle with { Entries = bundle.Entries.SetItem(i, entry with { Index = entry.Index ^ (1L << random.Next(64)) }) },
                _ => bundle with { Checkpoint = FlipLetter(bundle.Checkpoint) },
            };
            Assert.NotNull(flipped.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out _));
        }

        byte[] Flip(byte[] bytes)
        {
            bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            return bytes;
        }

        string FlipLetter(string text)
        {
            var at = random.Next(text.Length);
            return $"{text[..at]}{(char)(text[at] ^ (1 << random.Next(16)))}{text[(at + 1)..]}";
        }
    }

    [Fact]
    public void A_bundles_text_with_a_flipped_bit_is_refused_or_says_the_same()
    {
        var (bundle, _) = Make();
        var text = BundleJson.Format(bundle);
        var (random, same) = (new Random(8), 0);
        for (var round = 0; round < 1000; round++)
        {
            var bent = (byte[])text.Clone();
            bent[random.Next(bent.Length)] ^= (byte)(1 << random.Next(8));
            if (!BundleJson.TryParse(bent, out var read, out _))
                continue;
            // JSON has several forms of one thing: capitals in hexadecimal and in names, loose bits of base64.
            if (BundleJson.Format(read).AsSpan().SequenceEqual(text))
                same++;
            else
                Assert.NotNull(read.Verify(TestGrid.Origin, _grid.Key("ledger").Public, out _));
        }
        Assert.InRange(same, 0, 100);
    }

    private (Bundle Bundle, Agreement Agreement) Make()
    {
        var agreement = _grid.Run(_grid.Terms(_grid.Farms[0].Nodes[0].Id, _grid.Farms[1].Nodes[0].Id));
        _grid.Run(_grid.Terms(_grid.Farms[0].Nodes[1].Id) with { Note = "somebody else's" });
        return (_grid.Bundle(agreement.Id), agreement);
    }
}
