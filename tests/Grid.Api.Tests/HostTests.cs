using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using Grid.Accounts;
using Grid.Hub.Tests;
using Grid.Ledger.Postgres;
using Grid.Ledger.Tests;
using Grid.Log;
using Grid.Statements;
using Grid.Units;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grid.Api.Tests;

/// <summary>The ledger as a process of its own.</summary>
public sealed class HostTests : IDisposable
{
    private const string Origin = "grid.test/host";

    private readonly string _directory = Temporary.Directory();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task What_a_killed_ledger_acknowledged_is_there_when_it_starts_again()
    {
        var acknowledged = new List<JsonElement>();
        var gate = new Lock();
        string seen;
        PublicKey key;
        using (var first = await Host.StartAsync(_directory))
        {
            key = Id.Parse<PublicKey>((await first.GetAsync("v1/ledger")).GetProperty("key").GetString()!);
            using var load = CancellationTokenSource.CreateLinkedTokenSource(Stop);
            var callers = Enumerable.Range(0, 8).Select(c => Task.Run(async () =>
            {
                for (var i = 0; !load.IsCancellationRequested; i++)
                {
                    try
                    {
                        using var answer = await first.PostAsync(Account($"{c}-{i}"));
                        if (answer.StatusCode != HttpStatusCode.OK)
                            continue;
                        var document = await LedgerFixture.JsonOf(answer);
                        lock (gate)
                            acknowledged.Add(document);
                    }
                    catch (HttpRequestException)
                    {
                        return;
                    }
                }
            }, Stop)).ToArray();
            await Until.True(() => Count() > 300, Stop);
            seen = await first.Http.GetStringAsync(new Uri("checkpoint", UriKind.Relative), Stop);
            first.Kill();
            await load.CancelAsync();
            await Task.WhenAll(callers);
        }

        using var second = await Host.StartAsync(_directory);
        Assert.True(Checkpoint.TryVerify(seen, Origin, key, out var old));
        Assert.True(Checkpoint.TryVerify(await second.Http.GetStringAsync(new Uri("checkpoint", UriKind.Relative), Stop), Origin, key, out var now));
        var consistency = Path(await second.GetAsync($"v1/consistency?from={old.Size}&to={now.Size}"));
        Assert.True(MerkleTree.VerifyConsistency(old.Size, now.Size, consistency, old.Root, now.Root));
        foreach (var answer in acknowledged)
        {
            var again = await second.GetAsync($"v1/statements/{answer.GetProperty("id").GetString()}");
            Assert.Equal(answer.GetProperty("entry").GetString(), again.GetProperty("entry").GetString());
            Assert.True(Checkpoint.TryVerify(again.GetProperty("checkpoint").GetString(), Origin, key, out var checkpoint));
            var entry = Entry.Decode(again.GetProperty("entry").GetBytesFromBase64());
            Assert.True(MerkleTree.VerifyInclusion(entry.LeafHash, entry.Index, checkpoint.Size, Path(again), checkpoint.Root));
        }
        Assert.True(second.Terminate());

        int Count()
        {
            lock (gate)
                return acknowledged.Count;
        }
    }

    [Fact]
    public async Task Asked_to_end_it_leaves_nothing_behind()
    {
        using var host = await Host.StartAsync(_directory);
        var server = int.Parse((await File.ReadAllLinesAsync(System.IO.Path.Combine(_directory, "postgres", "data", "postmaster.pid"), Stop))[0], System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(System.IO.Path.Combine(_directory, "ledger.key")));
        Assert.True(host.Terminate());
        Assert.False(Directory.Exists($"/proc/{server}"));
    }

    [Fact]
    public async Task On_a_database_that_runs_already_it_goes_on_where_it_was_killed_and_leaves_the_database_running()
    {
        await using var postgres = await EmbeddedPostgres.StartAsync(System.IO.Path.Combine(_directory, "elsewhere"), PostgresBinaries.Find(), NullLogger<EmbeddedPostgres>.Instance, Stop);
        string[] storage = ["--postgres", postgres.ConnectionString, "--key", System.IO.Path.Combine(_directory, "keys", "ledger.key")];
        var recorded = new List<JsonElement>();
        for (var start = 0; start < 3; start++)
        {
            using var host = await Host.StartWithAsync(storage);
            foreach (var known in recorded)
                Assert.Equal(known.GetProperty("entry").GetString(), (await host.GetAsync($"v1/statements/{known.GetProperty("id").GetString()}")).GetProperty("entry").GetString());
            using var answer = await host.PostAsync(Account($"{start}"));
            recorded.Add(await LedgerFixture.JsonOf(answer.EnsureSuccessStatusCode()));
            // The first entry opened the log.
            Assert.Equal(start + 1, recorded[^1].GetProperty("index").GetInt64());
            if (start == 0)
                host.Kill();
            else
                Assert.True(host.Terminate());
        }
        Assert.True(Directory.Exists($"/proc/{postgres.ProcessId}"));
        // It made no cluster of its own beside it.
        Assert.Equal(["elsewhere", "keys"], Directory.EnumerateFileSystemEntries(_directory).Select(System.IO.Path.GetFileName).Order());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_a_hub_it_says_once_that_it_looks_at_no_flist(bool hub)
    {
        using var host = await Host.StartWithAsync(["--data", _directory, .. hub ? ["--hub", "http://127.0.0.1:1"] : (string[])[]]);
        Assert.True(host.Terminate());
        Assert.Equal(hub ? "" : "grid-ledger: no --hub is given: the flists that agreements name are not looked at here, only by nodes.\n", await host.Errors);
    }

    [Fact]
    public async Task A_key_that_others_may_read_is_not_used()
    {
        var key = System.IO.Path.Combine(_directory, "ledger.key");
        await File.WriteAllTextAsync(key, new string('0', 64), Stop);
        File.SetUnixFileMode(key, (UnixFileMode)0b110_100_100);
        var (code, text) = await Host.RunAsync("--origin", Origin, "--data", _directory);
        Assert.Equal(1, code);
        Assert.Contains("others may read", text);
    }

    [Fact]
    public async Task A_directory_is_no_key()
    {
        var (code, text) = await Host.RunAsync("--origin", Origin, "--data", _directory, "--key", _directory);
        Assert.Equal((1, $"grid-ledger: error[key-file-invalid]: '{_directory}' is a directory, not a key.\n  next: Name a file with --key.\n"), (code, text));
    }

    [Fact]
    public async Task An_address_in_use_is_said_with_what_to_do()
    {
        using var other = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var address = $"http://{other.LocalEndpoint}";
        Assert.Equal(
            (1, $"grid-ledger: error[address-unusable]: It cannot listen on {address}: Address already in use.\n  next: End what listens there, or give another --listen.\n"),
            await Host.RunAsync("--origin", Origin, "--data", _directory, "--listen", address));
    }

    [Theory]
    [InlineData("--help", "grid-ledger --origin NAME")]
    [InlineData("--version", "grid-ledger ")]
    public async Task It_says_what_it_is(string option, string said)
    {
        var (code, text) = await Host.RunAsync(option);
        Assert.Equal(0, code);
        Assert.StartsWith(said, text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--origin is missing", "--data", "/tmp/x")]
    [InlineData("--colour is not known", "--origin", "a/b", "--data", "/tmp/x", "--colour", "blue")]
    [InlineData("Give either --data or --postgres", "--origin", "a/b", "--key", "k")]
    [InlineData("Give either --data or --postgres", "--origin", "a/b", "--data", "/tmp/x", "--postgres", "Host=x")]
    [InlineData("--key is missing", "--origin", "a/b", "--postgres", "Host=x")]
    [InlineData("is not http://ADDRESS:PORT", "--origin", "a/b", "--data", "/tmp/x", "--listen", "8080")]
    [InlineData("--data needs a value", "--origin", "a/b", "--data")]
    [InlineData("--origin stands twice", "--origin", "a/b", "--origin", "a/c", "--data", "/tmp/x")]
    [InlineData("--data needs a value", "--origin", "a/b", "--data", "")]
    [InlineData("--key needs a value", "--origin", "a/b", "--data", "/tmp/x", "--key", "")]
    [InlineData("--postgres is not a connection string: it is not of pairs", "--origin", "a/b", "--key", "k", "--postgres", "garbage")]
    [InlineData("--postgres is not a connection string: 'bogus' is not known", "--origin", "a/b", "--key", "k", "--postgres", "Host=x;Bogus=1")]
    [InlineData("--postgres is not a connection string: 'port' is not known, or its value", "--origin", "a/b", "--key", "k", "--postgres", "Host=x;Port=many")]
    [InlineData("--rate 2000000000 is not a number", "--origin", "a/b", "--data", "/tmp/x", "--rate", "2000000000")]
    [InlineData("--rate many is not a number", "--origin", "a/b", "--data", "/tmp/x", "--rate", "many")]
    [InlineData("--hub ftp://x is not", "--origin", "a/b", "--data", "/tmp/x", "--hub", "ftp://x")]
    public void Wrong_options_are_said_all_at_once(string expected, params string[] args)
    {
        Assert.Null(LedgerOptions.Parse(args, out var mistakes));
        Assert.Contains(mistakes, m => $"{m}".Contains(expected, StringComparison.Ordinal));
        Assert.All(mistakes, m => Assert.True(m is { Code: "usage", Next.Length: > 0 }, $"{m}"));
    }

    [Fact]
    public void Help_tells_every_option_and_what_holds_without_it()
    {
        string[] needed = ["--origin", "a/b", "--data", "/tmp/x"];
        var without = LedgerOptions.Parse(needed, out _)!;
        var defaults = HelpText.Check(LedgerOptions.Usage, LedgerOptions.Names);

        Assert.Equal(["--listen", "--rate"], defaults.Select(d => d.Name));
        Assert.All(defaults, d => Assert.Equal(without, LedgerOptions.Parse([.. needed, d.Name, d.Value], out _)));
        // Whatever is wrong with the value, the name is known to the reader.
        Assert.All(LedgerOptions.Names, n =>
        {
            Assert.Null(LedgerOptions.Parse([n, "7"], out var mistakes));
            Assert.DoesNotContain(mistakes, m => m.Detail.Contains("is not known", StringComparison.Ordinal));
        });
    }

    [Fact]
    public async Task Each_wrong_option_has_a_code_and_a_next_step()
    {
        var (code, text) = await Host.RunAsync("--origin", Origin, "--data", _directory, "--colour", "blue");
        Assert.Equal(2, code);
        Assert.Equal("grid-ledger: error[usage]: --colour is not known.\n  next: 'grid-ledger --help' lists what is.\n", text);
    }

    [Fact]
    public async Task One_address_is_answered_so_many_requests_and_no_more()
    {
        await using var server = await LedgerServer.StartAsync(new LedgerOptions { Origin = Origin, Data = _directory, Listen = "http://127.0.0.1:0", Rate = 5 }, stop: Stop);
        using var http = new HttpClient { BaseAddress = new Uri(server.Address) };
        var answers = new List<HttpStatusCode>();
        for (var i = 0; i < 60; i++)
        {
            using var response = await http.GetAsync(new Uri("healthz", UriKind.Relative), Stop);
            answers.Add(response.StatusCode);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
                Assert.Equal(ApiCode.TooManyRequests, (await LedgerFixture.JsonOf(response)).GetProperty("code").GetString());
        }
        Assert.Contains(HttpStatusCode.OK, answers);
        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
    }

    [Fact]
    public async Task One_key_is_heard_so_often_and_no_more_from_wherever_it_speaks()
    {
        await using var server = await LedgerServer.StartAsync(new LedgerOptions { Origin = Origin, Data = _directory, Listen = "http://127.0.0.1:0", Rate = 1 }, stop: Stop);
        var statements = Enumerable.Range(0, 40).Select(i => Account("busy", $"beside-{i}")).ToList();
        var codes = new List<string>();
        var watch = Stopwatch.StartNew();
        foreach (var statement in statements)
            codes.Add(await SendAsync(statement, codes.Count));

        var taken = codes.Count(c => c.Length == 0);
        Assert.InRange(taken, 2, 3 + (int)watch.Elapsed.TotalSeconds);
        Assert.Equal(statements.Count - taken, codes.Count(c => c == ApiCode.TooManyRequests));
        // Another key is as free as ever, and what was taken is answered again.
        Assert.Equal("", await SendAsync(Account("idle"), 100));
        Assert.Equal("", await SendAsync(statements[0], 101));

        async Task<string> SendAsync(byte[] statement, int from)
        {
            using var handler = new SocketsHttpHandler
            {
                ConnectCallback = async (context, cancel) =>
                {
                    var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                    socket.Bind(new IPEndPoint(new IPAddress([127, 0, 1, (byte)(1 + from)]), 0));
                    await socket.ConnectAsync(context.DnsEndPoint, cancel);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            };
            using var http = new HttpClient(handler) { BaseAddress = new Uri(server.Address) };
            using var content = new ByteArrayContent(statement) { Headers = { ContentType = new MediaTypeHeaderValue("application/cose") } };
            using var answer = await http.PostAsync(new Uri("v1/statements", UriKind.Relative), content, Stop);
            return answer.IsSuccessStatusCode ? "" : (await LedgerFixture.JsonOf(answer)).GetProperty("code").GetString()!;
        }
    }

    private static byte[] Account(string name, string? beside = null)
    {
        using var key = SigningKey.FromSeed(Digest.Of(System.Text.Encoding.UTF8.GetBytes(name)).ToArray());
        using var other = SigningKey.FromSeed(Digest.Of(System.Text.Encoding.UTF8.GetBytes(beside ?? name)).ToArray());
        SigningKey[] keys = beside is null ? [key] : [key, other];
        var now = DateTimeOffset.FromUnixTimeSeconds(DateTimeOffset.UtcNow.ToUnixTimeSeconds());
        return Statement.Sign(new Payload(Origin, null, now, now.AddHours(1), new OpenAccount(new KeyPolicy([.. keys.Select(k => k.Public).Order()], 1))), keys).Bytes.ToArray();
    }

    private static Digest[] Path(JsonElement answer) => [.. answer.GetProperty("path").EnumerateArray().Select(h => Digest.ParseHex(h.GetString()!))];

    private sealed class Host : IDisposable
    {
        private readonly Process _process;

        private Host(Process process, string address, Task<string> errors) => (_process, Http, Errors) = (process, new HttpClient { BaseAddress = new Uri(address) }, errors);

        public HttpClient Http { get; }

        /// <summary>What it said until it ended.</summary>
        public Task<string> Errors { get; }

        public static Task<Host> StartAsync(string directory) => StartWithAsync("--data", directory);

        public static async Task<Host> StartWithAsync(params string[] storage)
        {
            var process = Process.Start(Command(["--origin", Origin, "--listen", "http://127.0.0.1:0", "--rate", "0", .. storage]))!;
            var errors = process.StandardError.ReadToEndAsync(Stop);
            var line = await process.StandardOutput.ReadLineAsync(Stop);
            return line?.StartsWith("grid-ledger ready ", StringComparison.Ordinal) == true
                ? new Host(process, line.Split(' ')[2], errors)
                : throw new InvalidOperationException(await errors);
        }

        public static async Task<(int Code, string Text)> RunAsync(params string[] args)
        {
            using var process = Process.Start(Command(args))!;
            var errors = process.StandardError.ReadToEndAsync(Stop);
            var text = await process.StandardOutput.ReadToEndAsync(Stop);
            await process.WaitForExitAsync(Stop);
            return (process.ExitCode, text + await errors);
        }

        public async Task<JsonElement> GetAsync(string path)
        {
            using var response = (await Http.GetAsync(new Uri(path, UriKind.Relative), Stop)).EnsureSuccessStatusCode();
            return await LedgerFixture.JsonOf(response);
        }

        public Task<HttpResponseMessage> PostAsync(byte[] statement)
        {
            var content = new ByteArrayContent(statement);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/cose");
            return Http.PostAsync(new Uri("v1/statements", UriKind.Relative), content, Stop);
        }

        public void Kill()
        {
            _process.Kill();
            _process.WaitForExit();
        }

        /// <summary>SIGTERM; true when it ended with 0.</summary>
        public bool Terminate()
        {
            using var kill = Process.Start("kill", ["-TERM", $"{_process.Id}"]);
            kill.WaitForExit();
            return _process.WaitForExit(30_000) && _process.ExitCode == 0;
        }

        public void Dispose()
        {
            Http.Dispose();
            if (!_process.HasExited)
                Kill();
            _process.Dispose();
        }

        private static ProcessStartInfo Command(params string[] args) =>
            new(System.IO.Path.Combine(AppContext.BaseDirectory, "grid-ledger"), args) { RedirectStandardOutput = true, RedirectStandardError = true };
    }
}
