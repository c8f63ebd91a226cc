using System.Diagnostics;
using System.Net.Sockets;
using Grid.Flists.Hub;

namespace Grid.Hub.Tests;

/// <summary>The real grid-hub process: killed, restarted, stopped.</summary>
public sealed class ProcessTests
{
    [Fact]
    public async Task A_hub_killed_during_uploads_loses_nothing_it_acknowledged_and_a_retry_completes()
    {
        await using var scene = await Scene.MakeAsync();
        var packs = Directory.GetFiles(Path.Combine(scene["local"], "packs"), "*", SearchOption.AllDirectories);
        for (var round = 0; round < 5; round++)
        {
            using var hub = await HubProcess.StartAsync(scene["hub"]);
            await HalfAnUploadAsync(hub.Address, packs[0], round);
            hub.Process.Kill();
            await hub.Process.WaitForExitAsync();
            Assert.Empty(Directory.GetFiles(Path.Combine(scene["hub"], "packs"), "*", SearchOption.AllDirectories));
        }
        using (var hub = await HubProcess.StartAsync(scene["hub"]))
        {
            using var client = Scene.Client(hub.Address);
            await Transfer.PushAsync(scene.Local, scene.Id, client.Hubs[0], null, default);
            Assert.Empty(Directory.GetFiles(Path.Combine(scene["hub"], "staging")));
            hub.Process.Kill();
            await hub.Process.WaitForExitAsync();
        }
        using var again = await HubProcess.StartAsync(scene["hub"]);
        using var reader = Scene.Client(again.Address);
        using var source = await FlistSource.OpenAsync(scene.Id, reader, new SourceLimits(), default);
        Assert.Null(await source.ProveCompleteAsync(default));
        var chunk = scene.Meta.Chunk(scene.Files.First(i => scene.Meta[i].Size == 1_000_000), 2);
        Assert.Equal(chunk, Flists.Chunk.Hash(await source.ReadChunkAsync(chunk, default)));
    }

    [Fact]
    public async Task SIGTERM_stops_a_hub_with_exit_code_0()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        using var hub = await HubProcess.StartAsync(scene["hub"]);
        using (var kill = Process.Start("kill", ["-TERM", $"{hub.Process.Id}"]))
            await kill.WaitForExitAsync();
        await hub.Process.WaitForExitAsync(new CancellationTokenSource(TimeSpan.FromSeconds(15)).Token);
        Assert.Equal(0, hub.Process.ExitCode);
    }

    [Fact]
    public async Task A_hub_listens_on_a_unix_socket()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        var socket = scene["hub.sock"];
        var hub = await scene.HubAsync(change: o => o with { Listen = $"http://unix:{socket}" });
        using var client = Scene.Client($"http://unix:{socket}");
        await Transfer.PushAsync(scene.Local, scene.Id, client.Hubs[0], null, default);
        using var source = await FlistSource.OpenAsync(scene.Id, client, new SourceLimits(), default);
        Assert.Equal(scene.Meta.Root, source.Meta.Root);
    }

    [Theory]
    [InlineData()]
    [InlineData("--store")]
    [InlineData("--store", "x", "--wat", "1")]
    [InlineData("--store", "x", "--listen", "ftp://x")]
    [InlineData("--store", "x", "--listen", "http://127.0.0.1:65536")]
    [InlineData("--store", "x", "--listen", "http://127.0.0.1:80/path")]
    [InlineData("--store", "x", "--max-uploads", "-1")]
    public void Options_that_cannot_be_are_named(params string[] args)
    {
        Assert.Null(HubOptions.Parse(args, out var mistakes));
        Assert.NotEmpty(mistakes);
        Assert.All(mistakes, m => Assert.True(m is { Code: "usage", Next.Length: > 0 }, $"{m}"));
    }

    [Fact]
    public async Task What_keeps_a_hub_from_starting_is_said_with_what_to_do()
    {
        await using var scene = await Scene.MakeAsync(large: false);
        using var hub = await HubProcess.StartAsync(scene["hub"]);
        Assert.Equal(
            (1, $"grid-hub: error[address-unusable]: It cannot listen on {hub.Address}: Address already in use.\n  next: End what listens there, or give another --listen.\n"),
            await HubProcess.RunAsync("--store", scene["second"], "--listen", hub.Address));
        // An address of another machine (RFC 5737).
        var (code, elsewhere) = await HubProcess.RunAsync("--store", scene["third"], "--listen", "http://192.0.2.1:8090");
        Assert.Equal((1, 2), (code, elsewhere.Count(c => c == '\n')));
        Assert.StartsWith("grid-hub: error[address-unusable]: It cannot listen on http://192.0.2.1:8090: ", elsewhere, StringComparison.Ordinal);
        await File.WriteAllTextAsync(scene["file"], "");
        (code, var store) = await HubProcess.RunAsync("--store", scene["file"]);
        Assert.Equal((1, 2), (code, store.Count(c => c == '\n')));
        Assert.StartsWith("grid-hub: error[file-unreadable]: ", store, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--help", "grid-hub --store DIR")]
    [InlineData("--version", "grid-hub ")]
    public async Task A_hub_says_what_it_is(string option, string said)
    {
        var (code, text) = await HubProcess.RunAsync(option);
        Assert.Equal(0, code);
        Assert.StartsWith(said, text, StringComparison.Ordinal);
    }

    // States the whole length, sends a part, and leaves the connection open for the kill to cut.
    private static async Task HalfAnUploadAsync(string address, string pack, int round)
    {
        var uri = new Uri(address);
        using var client = new TcpClient();
        await client.ConnectAsync(uri.Host, uri.Port);
        var bytes = await File.ReadAllBytesAsync(pack);
        var stream = client.GetStream();
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"PUT /v1/packs/{Path.GetFileName(pack)} HTTP/1.1\r\nHost: hub\r\nContent-Length: {bytes.Length}\r\n\r\n"));
        await stream.WriteAsync(bytes.AsMemory(0, bytes.Length / 6 * (round + 1)));
    }

    private sealed class HubProcess : IDisposable
    {
        public required Process Process { get; init; }

        public required string Address { get; init; }

        public static async Task<HubProcess> StartAsync(string store)
        {
            var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "grid-hub"), ["--store", store, "--listen", "http://127.0.0.1:0"]) { RedirectStandardOutput = true };
            var process = Process.Start(start)!;
            var line = await process.StandardOutput.ReadLineAsync() ?? "";
            Assert.StartsWith("grid-hub ready ", line);
            return new HubProcess { Process = process, Address = line["grid-hub ready ".Length..] };
        }

        /// <returns>the exit code, and all that it said</returns>
        public static async Task<(int Code, string Text)> RunAsync(params string[] args)
        {
            var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "grid-hub"), args) { RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            var text = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            return (process.ExitCode, text + await errors);
        }

        public void Dispose()
        {
            if (!Process.HasExited)
                Process.Kill();
            Process.Dispose();
        }
    }
}
