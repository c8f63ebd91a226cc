using System.Diagnostics;
using Grid.Node.Agent;

namespace Grid.Node.Tests.Agent;

/// <summary>The program as a farmer calls it.</summary>
public sealed class ProgramTests
{
    [Theory]
    [InlineData(0, "grid-node --ledger URL", "--help")]
    [InlineData(0, "grid-node clear --data DIR", "clear", "--help")]
    [InlineData(0, "grid-node mended DIR\n", "mended", "--help")]
    [InlineData(2, "grid-node: error[usage]: mended takes one directory and nothing else.\n  next: ", "mended")]
    [InlineData(2, "grid-node: error[usage]: mended takes one directory and nothing else.\n  next: ", "mended", "/tmp", "--what")]
    [InlineData(1, "grid-node: error[directory-unusable]: Of /nowhere nothing can be taken back: ", "mended", "/nowhere")]
    [InlineData(0, "grid-node gateway --data DIR", "gateway", "--help")]
    [InlineData(0, "grid-node ", "--version")]
    [InlineData(2, "grid-node: error[usage]: '--what' is not an option.\n  next: ", "--what", "1")]
    [InlineData(2, "grid-node: error[usage]: clear takes --data DIR ", "clear", "--data", "", "--run", "x", "--cgroup", "x")]
    [InlineData(2, "grid-node: error[usage]: These are not ", "gateway", "--what")]
    public async Task It_says_what_it_is_and_what_it_does_not_understand(int code, string said, params string[] args) => Assert.StartsWith(said, await SaysAsync(code, args), StringComparison.Ordinal);

    [Theory]
    [InlineData("--data")]
    [InlineData("--run")]
    public async Task A_file_where_a_directory_belongs_is_told_with_what_to_do(string option)
    {
        var place = Directory.CreateTempSubdirectory("grid-node-").FullName;
        using var key = Statements.SigningKey.FromSeed(new byte[32]);
        string[] others = option == "--run" ? ["--data", place] : [];

        var said = await SaysAsync(1, ["--ledger", "http://127.0.0.1:1", "--origin", "grid.test/main", "--ledger-key", key.Public.ToString(), "--hub", "http://127.0.0.1:1", .. others, option, "/etc/passwd"]);

        Assert.StartsWith($"grid-node: error[directory-unusable]: {option} /etc/passwd cannot be used as a directory: ", said, StringComparison.Ordinal);
        Assert.EndsWith($"\n  next: Name another with {option}.\n", said, StringComparison.Ordinal);
        Directory.Delete(place, recursive: true);
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_told_with_what_to_do()
    {
        var place = Directory.CreateTempSubdirectory("grid-node-").FullName;
        using var key = Statements.SigningKey.FromSeed(new byte[32]);
        Directory.CreateDirectory(Path.Combine(place, "data", "node.key"));
        // Not empty: nothing is mounted over what is there.
        Directory.CreateDirectory(Path.Combine(place, "run", "earlier"));

        var said = await SaysAsync(1, ["--ledger", "http://127.0.0.1:1", "--origin", "grid.test/main", "--ledger-key", key.Public.ToString(), "--hub", "http://127.0.0.1:1", "--data", Path.Combine(place, "data"), "--run", Path.Combine(place, "run")]);

        Assert.StartsWith("grid-node: error[file-unreadable]: ", said, StringComparison.Ordinal);
        Assert.Contains("\n  next: Look whether ", said, StringComparison.Ordinal);
        Directory.Delete(place, recursive: true);
    }

    [Fact]
    public void What_cannot_run_containers_is_told_what_it_takes() =>
        Assert.True(NodeException.CannotRun("/usr/bin/crun is not installed").Refusal is { Code: "machine-cannot", Next.Length: > 0 });

    [Fact]
    public void A_key_of_another_length_is_told_with_what_to_do()
    {
        var path = Path.GetTempFileName();
        File.WriteAllBytes(path, new byte[5]);

        var refusal = Assert.Throws<NodeException>(() => NodeKey.LoadOrCreate(path, "grid.test/main")).Refusal;

        Assert.Equal(("key-file-invalid", true), (refusal.Code, refusal.Next?.Contains("Put back a copy", StringComparison.Ordinal)));
        File.Delete(path);
    }

    private static async Task<string> SaysAsync(int code, string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "grid-node"), args) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var text = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(code, process.ExitCode);
        return text + await errors;
    }
}
