using Grid.Units;

namespace Grid.Cli.Tests;

/// <summary>Flists, made here and fetched, and what is made in a home.</summary>
public sealed class FlistJourneys(RealLedger real) : Journeys(real)
{
    [Fact]
    public async Task Files_that_are_not_described_are_refused_at_the_draft()
    {
        string[] needed = ["/usr/bin/true", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"];
        if (needed.FirstOrDefault(f => !File.Exists(f)) is { } missing)
            Assert.Skip($"{missing} is not on this machine");
        using var shell = new TestShell();
        var (farm, node) = await PartiesAsync(shell);
        using var _ = node;
        shell.Environment["GRID_HUB"] = Real.Hub;
        foreach (var path in needed.Select(n => n.Replace("/usr/bin/true", "/bin/web", StringComparison.Ordinal)))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(shell.PathOf("root" + path))!);
            File.Copy(path == "/bin/web" ? needed[0] : path, shell.PathOf("root" + path));
        }
        foreach (var directory in new[] { "proc", "dev", "sys" })
            Directory.CreateDirectory(shell.PathOf($"root/{directory}"));
        File.WriteAllText(shell.PathOf("root/bin/script"), "#!/bin/no-such-interpreter\n");
        File.SetUnixFileMode(shell.PathOf("root/bin/script"), (UnixFileMode)0b111_101_101);

        var built = await shell.JsonAsync("flist", "build", shell.PathOf("root"));
        var yaml = Draft("files", farm).Replace(Flist, Text(built, "id"), StringComparison.Ordinal);
        Assert.Equal(RefusalCode.FlistIncomplete, await shell.RefusedAsync("plan", shell.Write("grid.yaml", yaml)));
        await shell.JsonAsync("flist", "push", Text(built, "id"));

        Assert.True((await shell.JsonAsync("plan", shell.Write("grid.yaml", yaml)))["filesChecked"]!.GetValue<bool>());
        Assert.Equal(RefusalCode.EntryNotDescribed, await shell.RefusedAsync("plan", shell.Write("grid.yaml", yaml.Replace("/bin/web", "/bin/other", StringComparison.Ordinal))));
        Assert.Equal(RefusalCode.InterpreterNotDescribed, await shell.RefusedAsync("plan", shell.Write("grid.yaml", yaml.Replace("/bin/web", "/bin/script", StringComparison.Ordinal))));

        File.Delete(shell.PathOf("root/lib/x86_64-linux-gnu/libc.so.6"));
        var without = await shell.JsonAsync("flist", "build", shell.PathOf("root"));
        await shell.JsonAsync("flist", "push", Text(without, "id"));
        var (_, _, error) = await shell.RunAsync("plan", shell.Write("grid.yaml", yaml.Replace(Text(built, "id"), Text(without, "id"), StringComparison.Ordinal)));
        Assert.Contains("error[library-not-described]", error, StringComparison.Ordinal);
        Assert.Contains("grid.yaml:8:12", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_flist_is_the_same_here_and_from_the_hub()
    {
        using var shell = new TestShell();
        shell.Environment["GRID_HUB"] = Real.Hub;
        Directory.CreateDirectory(shell.PathOf("root/etc"));
        File.WriteAllText(shell.PathOf("root/etc/motd"), "hello\n");
        File.CreateSymbolicLink(shell.PathOf("root/etc/issue"), "motd");
        var id = Text(await shell.JsonAsync("flist", "build", shell.PathOf("root")), "id");
        await shell.JsonAsync("flist", "push", id);
        using var other = new TestShell();
        other.Environment["GRID_HUB"] = Real.Hub;

        Assert.Equal((await shell.RunAsync("flist", "tree", id)).Out, (await other.RunAsync("flist", "tree", id)).Out);
        Assert.Equal("hello\n", (await other.RunAsync("flist", "cat", id, "/etc/issue")).Out);
        Assert.Contains($"error[{RefusalCode.NotFound}]: '/etc/shadow' is not in the flist: there is no such name.", (await other.RunAsync("flist", "cat", id, "/etc/shadow")).Error, StringComparison.Ordinal);
        Assert.Equal("holds", Text(await other.JsonAsync("flist", "verify", id), "verdict"));
        Assert.Empty((await other.JsonAsync("flist", "list"))["items"]!.AsArray());
        await other.JsonAsync("flist", "pull", id);
        other.Environment.Clear();
        Assert.Equal("hello\n", (await other.RunAsync("flist", "cat", id, "/etc/motd")).Out);
        Assert.Equal(RefusalCode.NotFound, await other.RefusedAsync("flist", "show", new FlistId(Digest.Of("x"u8)).ToString()));
    }

    [Fact]
    public async Task What_cannot_be_imported_or_mounted_is_refused_with_what_to_do()
    {
        using var shell = new TestShell();
        Directory.CreateDirectory(shell.PathOf("root"));
        File.WriteAllText(shell.PathOf("root/motd"), "hello\n");
        System.Formats.Tar.TarFile.CreateFromDirectory(shell.PathOf("root"), shell.PathOf("tree.tar"), includeBaseDirectory: false);

        foreach (var tree in new[] { "tree.tar", "root" })
        {
            var (code, _, error) = await shell.RunAsync("flist", "import", shell.PathOf(tree));
            Assert.Equal(Exit.Error, code);
            Assert.Contains("error[bad-image]", error, StringComparison.Ordinal);
            Assert.Contains("grid flist build", error, StringComparison.Ordinal);
        }
        var (_, _, absent) = await shell.RunAsync("flist", "import", "docker.io/library/nginx:1");
        Assert.Contains("error[source-missing]", absent, StringComparison.Ordinal);
        Assert.Contains("skopeo copy docker://IMAGE", absent, StringComparison.Ordinal);
        var id = Text(await shell.JsonAsync("flist", "build", shell.PathOf("tree.tar")), "id");
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("flist", "mount", id, shell.PathOf("nowhere"), "--hub", Real.Hub));
        Assert.Equal(RefusalCode.NotFound, await shell.RefusedAsync("flist", "mount", id, shell.PathOf("tree.tar"), "--hub", Real.Hub));
        Assert.Contains("grid flist push", (await shell.RunAsync("flist", "mount", id, shell.PathOf("root"))).Error, StringComparison.Ordinal);
        Assert.Equal(RefusalCode.MutableReference, await shell.RefusedAsync("flist", "mount", "nginx:latest", shell.PathOf("root"), "--hub", Real.Hub));
    }

    [Theory]
    [InlineData("flists", "flist", "build", "root")]
    [InlineData("keys", "key", "new", "alice", "--no-passphrase")]
    [InlineData("seen", "ledger", "status")]
    public async Task What_is_made_in_a_home_is_nobody_elses_to_read(string directory, params string[] command)
    {
        using var shell = new TestShell();
        await shell.JsonAsync("ledger", "trust", Real.Address, "--yes");
        var key = Text(await shell.JsonAsync("ledger", "status"), "key");
        Directory.CreateDirectory(shell.PathOf("root"));
        var home = shell.PathOf("new/home");

        await shell.JsonAsync([.. command.Select(c => c == "root" ? shell.PathOf(c) : c), "--home", home, "--ledger", Real.Address, "--ledger-key", key]);

        const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Assert.Equal((Own, Own), (File.GetUnixFileMode(home), File.GetUnixFileMode(Path.Combine(home, directory))));
    }

    [Fact]
    public async Task Nor_is_it_in_a_home_that_stands_open()
    {
        using var shell = new TestShell();
        var home = Directory.CreateDirectory(shell.PathOf("open"), (UnixFileMode)0b111_101_101).FullName;
        foreach (var command in new[] { "ledger trust ADDRESS --yes", "key new alice --no-passphrase", "account open alice", "farm register open-home --account alice", "flist build root", "ledger status" })
        {
            Directory.CreateDirectory(shell.PathOf("root"));
            await shell.JsonAsync([.. command.Split(' ').Select(c => c == "ADDRESS" ? Real.Address : c == "root" ? shell.PathOf(c) : c), "--home", home]);
        }

        var made = Directory.GetFileSystemEntries(home);
        Assert.Equal(["book.json", "config.yaml", "flists", "keys", "seen"], made.Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.All(made, m => Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(m) & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute)));
    }
}
