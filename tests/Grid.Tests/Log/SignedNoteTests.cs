using FsCheck.Fluent;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Tests;

public sealed class SignedNoteTests
{
    // C2SP signed-note, Verifier keys, Example.
    private const string ExampleKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    private const string Example = "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    private static readonly SigningKey Key = SigningKey.FromSeed(new byte[32]);
    private static readonly Checkpoint Some = new("grid.example/main", 20852163, Digest.Of([1]));

    [Fact]
    public void The_example_of_the_specification_verifies()
    {
        Assert.True(NoteKey.TryParse(ExampleKey, out var key));
        Assert.True(SignedNote.TryParse(Example, out var note));
        Assert.True(note.IsSignedBy(key));
        Assert.Equal((Example, ExampleKey, "This is an example message.\n"), (note.ToString(), key.ToString(), note.Text));
    }

    [Fact]
    public void A_checkpoint_comes_back_from_its_note()
    {
        var note = Some.Sign(Key).ToString();
        Assert.StartsWith($"grid.example/main\n20852163\n{Convert.ToBase64String(Some.Root.ToArray())}\n\n\u2014 grid.example/main ", note, StringComparison.Ordinal);
        Assert.True(Checkpoint.TryVerify(note, "grid.example/main", Key.Public, out var read));
        Assert.Equal(Some, read);
    }

    [Fact]
    public void Any_changed_character_of_a_checkpoint_is_refused()
    {
        var note = Some.Sign(Key).ToString();
        for (var at = 0; at < note.Length; at++)
        {
            foreach (var other in new[] { '\n', ' ', '0', '1', 'A', 'B', '=', '+', '\u2014' }.Where(c => c != note[at]))
                Assert.False(Checkpoint.TryVerify($"{note[..at]}{other}{note[(at + 1)..]}", Some.Origin, Key.Public, out _));
            Assert.False(Checkpoint.TryVerify(note.Remove(at, 1), Some.Origin, Key.Public, out _));
        }
    }

    [Fact]
    public void A_checkpoint_of_another_log_or_key_is_refused()
    {
        using var stranger = SigningKey.FromSeed([.. Enumerable.Repeat((byte)7, 32)]);
        Assert.False(Checkpoint.TryVerify(Some.Sign(Key).ToString(), "grid.example/other", Key.Public, out _));
        Assert.False(Checkpoint.TryVerify(Some.Sign(stranger).ToString(), Some.Origin, Key.Public, out _));
        // The right key signed another log's text under this log's name.
        var text = (Some with { Origin = "grid.example/other" }).ToString();
        Assert.False(Checkpoint.TryVerify(SignedNote.Sign(text, Some.Origin, Key).ToString(), Some.Origin, Key.Public, out _));
    }

    [Fact]
    public void Signatures_of_strangers_are_not_looked_at_and_a_false_one_of_ours_spoils_the_note()
    {
        using var witness = SigningKey.FromSeed([.. Enumerable.Repeat((byte)7, 32)]);
        var note = Some.Sign(Key);
        var own = note.Signatures[0];
        var strangers = SignedNote.Sign(note.Text, "wítness.example/ɯ", witness).Signatures
            .Add(new NoteSignature(Some.Origin, own.KeyId ^ 1, new byte[64]))
            .Add(new NoteSignature("witness.example", own.KeyId, new byte[2420]));
        Assert.True(Checkpoint.TryVerify((note with { Signatures = [.. strangers, own] }).ToString(), Some.Origin, Key.Public, out _));
        Assert.False(Checkpoint.TryVerify((note with { Signatures = strangers }).ToString(), Some.Origin, Key.Public, out _));
        Assert.False(Checkpoint.TryVerify((note with { Signatures = [own, own with { Value = new byte[64] }] }).ToString(), Some.Origin, Key.Public, out _));
        Assert.False(Checkpoint.TryVerify((note with { Signatures = [own, own with { Value = new byte[3] }] }).ToString(), Some.Origin, Key.Public, out _));
        Assert.False(SignedNote.TryParse((note with { Signatures = [.. Enumerable.Repeat(own, 101)] }).ToString(), out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a/b\n5\n")]
    [InlineData("a/b\n05\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    [InlineData("a/b\n+5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    [InlineData("a/b\n-5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    [InlineData("a/b\n9223372036854775808\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    [InlineData("a b\n5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    [InlineData("\n5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    [InlineData("a/b\n5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSV=\n")]
    [InlineData("a/b\n5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU\n")]
    [InlineData("a/b\n5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=")]
    [InlineData("a/b\n5\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\nextension\n")]
    [InlineData("a/b\r\n5\r\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\r\n")]
    [InlineData("a/b\n0\nrPpCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n")]
    public void What_is_no_checkpoint_is_refused(string text) => Assert.False(Checkpoint.TryParse(text, out _));

    [Theory]
    [InlineData("text\n\u2014 a AAAAAAA=\n")]
    [InlineData("text\n\n\u2014 a AAAAAAA=")]
    [InlineData("text\n\n\u2014 a AAAAAAA=\n\n")]
    [InlineData("text\n\n")]
    [InlineData("te\txt\n\n\u2014 a AAAAAAA=\n")]
    [InlineData("text\n\n\u2014  AAAAAAA=\n")]
    [InlineData("text\n\n\u2014 a+b AAAAAAA=\n")]
    [InlineData("text\n\n\u2014 a b AAAAAAA=\n")]
    [InlineData("text\n\n\u2014 a AAAAAAA\n")]
    [InlineData("text\n\n\u2014 a AAAAAAB=\n")]
    [InlineData("text\n\n\u2014 a AAAA\n")]
    [InlineData("text\n\n- a AAAAAAA=\n")]
    [InlineData(null)]
    public void What_is_no_note_is_refused(string? text) => Assert.False(SignedNote.TryParse(text, out _));

    [Fact]
    public void Text_without_a_form_in_UTF8_is_refused()
    {
        Assert.True(SignedNote.TryParse("te\ud83d\ude00xt\n\n\u2014 a AAAAAAA=\n", out _));
        Assert.False(SignedNote.TryParse("te\ud800xt\n\n\u2014 a AAAAAAA=\n", out _));
        Assert.False(SignedNote.TryParse("text\n\n\u2014 a\udc00 AAAAAAA=\n", out _));
    }

    [Theory]
    [InlineData("example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")]
    [InlineData("example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")]
    [InlineData("example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")]
    [InlineData("example.com/foo+530d903a+BOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")]
    [InlineData("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0=")]
    [InlineData("example.com/foo+530d903a")]
    [InlineData("")]
    [InlineData(null)]
    public void What_is_no_verifier_key_is_refused(string? text) => Assert.False(NoteKey.TryParse(text, out _));

    [Fact]
    public void Checkpoints_of_every_size_come_back() => Law.Holds(
        from high in Gen.Choose(0, int.MaxValue)
        from low in Gen.Choose(1, int.MaxValue)
        select new Checkpoint("grid.example/main", ((long)high << 31) | (long)low, Digest.Of([(byte)high])),
        c => Checkpoint.TryParse(c.ToString(), out var read) && read == c);
}
