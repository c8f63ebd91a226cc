using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Grid.Flists;
using Grid.Flists.Hub;
using Grid.Stories.Tests.Stage;
using Grid.Units;

namespace Grid.Stories.Tests;

/// <summary>Bad input of every kind gets a typed error: never a 500, never a stack trace, nothing lost.</summary>
[Collection("one at a time")]
public sealed class BadInput
{
    [Fact]
    public async Task The_ledger_and_the_hub_answer_nonsense_with_typed_problems()
    {
        await using var stage = await Stage.Stage.SetAsync();
        var flist = await stage.PublishAsync(Trees.Make(stage, "kept"));
        var random = new Random(3);
        foreach (var server in new[] { stage.LedgerAddress, stage.HubAddress })
        {
            using var http = new HttpClient { BaseAddress = server };
            foreach (var path in new[]
            {
                "v1/agreements/agr1nonsense", "v1/agreements?limit=-1", "v1/statements/st1nonsense", "v1/nodes/x/agreements?wait=1e9", "v1/proof/99999999999999999999", "tile/9/x", "v1/none",
                "v1/flists/fl1nonsense/manifest", "v1/packs/zz", "v1/meta/..%2f..%2fetc%2fpasswd",
            })
            {
                using var answer = await http.GetAsync(path);
                await IsProblemAsync(answer, path);
            }
            for (var round = 0; round < 200; round++)
            {
                var bytes = new byte[random.Next(2000)];
                random.NextBytes(bytes);
                using var body = new ByteArrayContent(bytes) { Headers = { ContentType = new(random.Next(2) == 0 ? "application/cose" : "application/json") } };
                var path = random.Next(3) switch { 0 => "v1/statements", 1 => "v1/missing", _ => "v1/drafts" };
                using var answer = await http.PostAsync(path, body);
                // A list of hashes is a question for the hub, whatever hashes they are.
                if (!answer.IsSuccessStatusCode || path != "v1/missing" || server != stage.HubAddress || bytes.Length % Digest.Size != 0)
                    await IsProblemAsync(answer, path);
            }
        }
        Assert.True((await stage.Client.InfoAsync(default)).Try(out var info, out _));
        Assert.Equal(2, info.Index);
        using var hubs = new HubClient([stage.HubAddress.AbsoluteUri]);
        using var kept = await FlistSource.OpenAsync(flist, hubs, new SourceLimits(), default);
        for (var i = 0; i < kept.Meta.DistinctChunkCount; i++)
            Assert.Equal(kept.Meta.DistinctChunk(i), Chunk.Hash(await kept.ReadChunkAsync(kept.Meta.DistinctChunk(i), default)));
    }

    [Theory]
    [InlineData(2, "frobnicate")]
    [InlineData(2, "apply", "--no-such-option")]
    [InlineData(255, "plan", "--no-such-option")]
    [InlineData(255, "plan", "/no/such/file.yaml")]
    [InlineData(255, "agreement", "show", "agr1nonsense")]
    [InlineData(255, "verify", "/etc/hostname", "--ledger-key", "key1nonsense")]
    [InlineData(255, "flist", "build", "/no/such/directory")]
    public async Task The_command_line_says_what_is_wrong_and_what_next(int exit, params string[] arguments)
    {
        using var home = new TemporaryHome();
        var (code, output, errors) = await GridAsync(home.Path, [.. arguments, "-o", "json"]);
        Assert.True(code == exit, $"exit {code}: {output}{errors}");
        Assert.Contains("\"code\"", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", output + errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_draft_that_names_its_flist_is_refused_where_it_stands()
    {
        using var home = new TemporaryHome();
        var file = Path.Combine(home.Path, "grid.yaml");
        await File.WriteAllTextAsync(file, """
            name: hello
            node: north
            workloads:
              web: { kind: container, flist: nginx:latest, entry: /bin/web, cpu: 1, memory: 64MiB, privileged: true }
            """);
        await using var stage = await Stage.Stage.SetAsync(examine: false);
        var (code, _, errors) = await GridAsync(home.Path, ["plan", file, "-o", "json", "--ledger", stage.LedgerAddress.AbsoluteUri, "--ledger-key", stage.LedgerKey.ToString()]);
        Assert.Equal(255, code);
        Assert.Contains(RefusalCode.MutableReference, errors, StringComparison.Ordinal);
        Assert.Contains("grid.yaml:4:", errors, StringComparison.Ordinal);
        Assert.Contains("privileged", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whatever_is_in_a_file_the_command_line_says_what_is_wrong_with_it()
    {
        using var home = new TemporaryHome();
        await using var stage = await Stage.Stage.SetAsync();
        var random = new byte[64 << 10];
        new Random(5).NextBytes(random);
        var contents = new Dictionary<string, byte[]>
        {
            ["empty"] = [],
            ["random"] = random,
            ["zeros"] = new byte[64 << 10],
            ["object"] = "{}"u8.ToArray(),
            ["deep"] = Encoding.UTF8.GetBytes(new string('[', 100_000)),
            ["anchors"] = Encoding.UTF8.GetBytes("a: &a [x,x,x,x,x,x,x,x,x]\n" + string.Concat("bcdefghij".Select((c, i) => $"{c}: &{c} [{string.Join(',', Enumerable.Repeat($"*{(char)('a' + i)}", 9))}]\n"))),
            ["broken-utf8"] = [.. "name: "u8, 0xff, 0xfe, .. "\n"u8],
            ["cut-gzip"] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, .. random.AsSpan(0, 100)],
            ["cut-zstd"] = [0x28, 0xb5, 0x2f, 0xfd, .. random.AsSpan(0, 100)],
            ["tag-55799"] = [0xd9, 0xd9, 0xf7, 0xd8, 0x62, 0x84, 0x40, 0xa0, 0x40, 0x80],
        };
        var files = contents.Select(c =>
        {
            var path = Path.Combine(home.Path, c.Key);
            File.WriteAllBytes(path, c.Value);
            return path;
        }).Append(Directory.CreateDirectory(Path.Combine(home.Path, "directory")).FullName).ToList();
        string[] ledger = ["--ledger", stage.LedgerAddress.AbsoluteUri, "--ledger-key", stage.LedgerKey.ToString()];
        foreach (var (file, command) in from f in files from c in (string[][])[["plan", f, .. ledger], ["apply", f, "--yes", .. ledger], ["verify", f, "--ledger-key", stage.LedgerKey.ToString()], ["flist", "build", f], ["flist", "import", f]] select (f, c))
        {
            // Of these two, the one is an flist of nothing, and the other a tar of nothing.
            if (command is ["flist", "build", ..] && Path.GetFileName(file) is "directory" or "zeros")
                continue;
            var (code, output, errors) = await GridAsync(home.Path, [.. command, "-o", "json"]).WaitAsync(TimeSpan.FromSeconds(60));
            var said = $"{string.Join(' ', command)}: exit {code}: {output}{errors}";
            Assert.True(code is not 0, said);
            Assert.True((output + errors).Contains("\"code\"", StringComparison.Ordinal) && !(output + errors).Contains("   at ", StringComparison.Ordinal), said);
        }
    }

    private static async Task IsProblemAsync(HttpResponseMessage answer, string path)
    {
        Assert.True(answer.StatusCode is >= HttpStatusCode.BadRequest and < HttpStatusCode.InternalServerError, $"{path}: {answer.StatusCode}");
        Assert.True(answer.Content.Headers.ContentType?.MediaType == "application/problem+json", $"{path}: {answer.StatusCode} {answer.Content.Headers.ContentType}");
        var text = await answer.Content.ReadAsStringAsync();
        using var problem = JsonDocument.Parse(text);
        Assert.NotEqual("", problem.RootElement.GetProperty("code").GetString());
        Assert.DoesNotContain("   at ", text, StringComparison.Ordinal);
    }

    private static async Task<(int Code, string Output, string Errors)> GridAsync(string home, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Programs.Find("grid-cli"), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            StandardErrorEncoding = Encoding.UTF8,
        };
        start.Environment["GRID_HOME"] = home;
        using var grid = Process.Start(start)!;
        grid.StandardInput.Close();
        var (output, errors) = (grid.StandardOutput.ReadToEndAsync(), grid.StandardError.ReadToEndAsync());
        await grid.WaitForExitAsync();
        return (grid.ExitCode, await output, await errors);
    }

    private sealed class TemporaryHome : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("grid-story-home-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
