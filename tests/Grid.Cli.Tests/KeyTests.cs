using Grid.Cli.Keys;
using Grid.Statements;

namespace Grid.Cli.Tests;

public sealed class KeyTests
{
    private const string Passphrase = "correct horse battery";

    [Fact]
    public async Task A_key_is_sealed_and_only_its_passphrase_opens_it()
    {
        using var shell = new TestShell { IsTerminal = true };
        shell.Types(Passphrase, Passphrase);
        var made = await shell.JsonAsync("key", "new", "alice");
        Assert.Equal("passphrase", made["protection"]!.GetValue<string>());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(shell.PathOf("keys/alice.json")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(shell.PathOf("keys")));

        shell.Types("wrong horse battery");
        Assert.Equal(CliCode.PassphraseWrong, await shell.RefusedAsync("key", "import", "copy", "-f", shell.PathOf("keys/alice.json")));
        shell.Types(Passphrase);
        var copy = await shell.JsonAsync("key", "import", "copy", "-f", shell.PathOf("keys/alice.json"), "--no-passphrase");
        Assert.Equal(made["key"]!.GetValue<string>(), copy["key"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_passphrase_comes_from_a_file_where_nobody_types()
    {
        using var shell = new TestShell();
        Assert.Equal(CliCode.PassphraseMissing, await shell.RefusedAsync("key", "new", "alice"));
        shell.Environment["GRID_PASSPHRASE_FILE"] = Own(shell.Write("passphrase", Passphrase + "\n"));
        await shell.JsonAsync("key", "new", "alice");
        Assert.Equal(SigningKey.SeedSize, KeyRing.Read(shell.PathOf("keys/alice.json")) is Client.Answer<KeyFile>.Given g ? g.Value.Open(Passphrase)!.Length : 0);
        shell.Environment["GRID_PASSPHRASE_FILE"] = Own(shell.Write("passphrase", "short"));
        Assert.Equal(CliCode.PassphraseMissing, await shell.RefusedAsync("key", "new", "bob"));
        shell.Environment["GRID_PASSPHRASE_FILE"] = shell.PathOf("nothing");
        Assert.Equal(CliCode.FileUnreadable, await shell.RefusedAsync("key", "new", "bob"));
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public async Task A_passphrase_that_others_can_reach_is_refused(UnixFileMode more)
    {
        using var shell = new TestShell();
        var path = Own(shell.Write("passphrase", Passphrase));
        File.SetUnixFileMode(path, File.GetUnixFileMode(path) | more);
        shell.Environment["GRID_PASSPHRASE_FILE"] = path;

        Assert.Equal(CliCode.PassphraseFileOpen, await shell.RefusedAsync("key", "new", "alice"));
        Own(path);
        await shell.JsonAsync("key", "new", "alice");
    }

    [Fact]
    public async Task A_key_counts_once_in_an_account_under_whatever_names()
    {
        using var shell = new TestShell();
        foreach (var name in new[] { "a", "also-a" })
        {
            shell.Input = new string('7', 64) + "\n";
            await shell.JsonAsync("key", "import", name, "-f", "-", "--no-passphrase");
        }

        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("account", "open", "z", "--keys", "a", "a"));
        Assert.Equal(CliCode.Usage, await shell.RefusedAsync("account", "open", "z", "--keys", "a", "also-a", "--threshold", "2"));
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherExecute)]
    public async Task A_key_that_others_can_reach_is_refused(UnixFileMode more)
    {
        using var shell = new TestShell();
        await shell.JsonAsync("key", "new", "alice", "--no-passphrase");
        File.SetUnixFileMode(shell.PathOf("keys/alice.json"), UnixFileMode.UserRead | UnixFileMode.UserWrite | more);

        Assert.Equal(CliCode.KeyFileOpen, await shell.RefusedAsync("key", "show", "alice"));
        Assert.Equal(CliCode.KeyFileOpen, await shell.RefusedAsync("account", "open", "alice"));
    }

    [Fact]
    public async Task No_key_is_overwritten_or_shown()
    {
        using var shell = new TestShell();
        var seed = new string('7', 64);
        shell.Input = seed + "\n";
        var (_, text, error) = await shell.RunAsync("key", "import", "alice", "-f", "-", "--no-passphrase", "-o", "json");
        Assert.DoesNotContain(seed, text + error, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToBase64String(Convert.FromHexString(seed)), text + error + (await shell.RunAsync("key", "show", "alice", "-o", "json")).Out, StringComparison.Ordinal);
        Assert.Equal(CliCode.KeyExists, await shell.RefusedAsync("key", "new", "alice", "--no-passphrase"));
        await shell.JsonAsync("key", "export", "alice", "-f", shell.PathOf("backup.json"));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(shell.PathOf("backup.json")));
        Assert.Equal(CliCode.KeyExists, await shell.RefusedAsync("key", "export", "alice", "-f", shell.PathOf("backup.json")));
    }

    [Fact]
    public void No_changed_bit_of_a_sealed_key_opens()
    {
        var (seed, chance) = (new byte[32], new Random(7));
        var file = KeyFile.Seal("alice", seed, Passphrase, n => { var b = new byte[n]; chance.NextBytes(b); return b; }, new KeyFile.Cost(1024, 1));
        Assert.Equal(seed, file.Open(Passphrase));
        var bytes = file.Format();
        for (var i = 0; i < 400; i++)
        {
            var bent = (byte[])bytes.Clone();
            bent[chance.Next(bent.Length)] ^= (byte)(1 << chance.Next(8));
            // Changed costs would only make it slower to say no.
            if (KeyFile.TryParse(bent) is { Sealed: { MemoryKiB: <= 4096, Passes: <= 4 } } parsed && parsed.Format().AsSpan().SequenceEqual(bytes) is false)
                Assert.Null(parsed.Open(Passphrase));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("not json")]
    [InlineData("""{"version":2,"name":"a","key":"key1x","seed":"AA=="}""")]
    [InlineData("""{"version":1,"name":"a","key":"key1x","seed":"AA=="}""")]
    public async Task What_is_no_key_file_is_said_to_be_none(string content)
    {
        using var shell = new TestShell();
        Directory.CreateDirectory(shell.PathOf("keys"));
        shell.Write("keys/alice.json", content);
        File.SetUnixFileMode(shell.PathOf("keys/alice.json"), UnixFileMode.UserRead | UnixFileMode.UserWrite);

        Assert.Equal(CliCode.KeyFileInvalid, await shell.RefusedAsync("key", "show", "alice"));
        Assert.Empty((await shell.JsonAsync("key", "list"))["items"]!.AsArray());
    }

    private static string Own(string path)
    {
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }
}
