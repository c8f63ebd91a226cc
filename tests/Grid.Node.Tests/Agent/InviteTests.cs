using Grid.Node.Agent;
using Grid.Statements;
using Grid.Units;

namespace Grid.Node.Tests.Agent;

/// <summary>Whatever is wrong with the file that a farmer copied is said in one sentence, and what to do; nothing else of the agent shows.</summary>
public sealed class InviteTests : IDisposable
{
    private static readonly string Farm = $"{new FarmId(Digest.Of("farm"u8))}", Statement = $"{new StatementId(Digest.Of("invite"u8))}";
    private static readonly string Seed = Convert.ToBase64String(Digest.Of("seed"u8).ToArray());

    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void A_whole_invite_is_read()
    {
        File.WriteAllText(_path, Json(seed: Seed));
        using var invite = Invite.Read(_path);
        using var key = SigningKey.FromSeed(Digest.Of("seed"u8).ToArray());
        Assert.Equal((Farm, Statement, key.Public), ($"{invite.Farm}", $"{invite.Id}", invite.Key.Public));
    }

    [Theory]
    [InlineData("not base64!")]
    [InlineData("")]
    [InlineData("AAAA")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public void A_seed_that_is_none_is_refused_and_not_said(string seed)
    {
        var said = Refused(Json(seed: seed));
        Assert.Contains("cannot be used: its seed is not the base64 of 32 bytes. Copy the farmer's file again", said, StringComparison.Ordinal);
        Assert.True(seed.Length == 0 || !said.Contains(seed, StringComparison.Ordinal));
    }

    [Fact]
    public void What_else_is_wrong_is_named()
    {
        Assert.Contains("its version is 2, not 1", Refused(Json(version: 2)), StringComparison.Ordinal);
        Assert.Contains("its farm 'farm1x' is not of the form farm1…", Refused(Json(farm: "farm1x")), StringComparison.Ordinal);
        Assert.Contains($"its invite '{Farm}' is not of the form st1…", Refused(Json(invite: Farm)), StringComparison.Ordinal);
        Assert.Contains("it is empty", Refused("null"), StringComparison.Ordinal);
        foreach (var text in (string[])["", "{", "[]", "{}", $$"""{"version":1,"farm":"{{Farm}}","invite":"{{Statement}}","seed":null}"""])
            Assert.Contains("cannot be read: ", Refused(text), StringComparison.Ordinal);
        Assert.Contains("cannot be read: ", Assert.Throws<NodeException>(() => Invite.Read("/proc")).Message, StringComparison.Ordinal);
    }

    private static string Json(int version = 1, string? farm = null, string? invite = null, string? seed = null) =>
        $$"""{"version":{{version}},"farm":"{{farm ?? Farm}}","invite":"{{invite ?? Statement}}","seed":"{{seed ?? Seed}}"}""";

    private string Refused(string json)
    {
        File.WriteAllText(_path, json);
        return Assert.Throws<NodeException>(() => Invite.Read(_path)).Message;
    }
}
