using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Grid.Cli.Tests;

/// <summary>A person's directory and terminal, made for one test. Runs the program in this process, as its main does.</summary>
internal sealed class TestShell : IDisposable
{
    private readonly Queue<string> _secrets = new();

    public string Home { get; } = Directory.CreateTempSubdirectory("grid-cli-").FullName;

    public Dictionary<string, string> Environment { get; } = [];

    public string Input { get; set; } = "";

    /// <summary>True when a person sits there who can be asked.</summary>
    public bool IsTerminal { get; set; }

    /// <summary>True while nobody answers.</summary>
    public bool IsAlone { get; set; }

    public TimeProvider Time { get; set; } = TimeProvider.System;

    public string PathOf(string name) => Path.Combine(Home, name);

    public string Write(string name, string content)
    {
        File.WriteAllText(PathOf(name), content);
        return PathOf(name);
    }

    /// <summary>What the person will type when asked for a secret.</summary>
    public void Types(params ReadOnlySpan<string> secrets)
    {
        foreach (var secret in secrets)
            _secrets.Enqueue(secret);
    }

    public Task<(int Code, string Out, string Error)> RunAsync(params string[] args) => RunAsync(new Screen(), TestContext.Current.CancellationToken, args);

    /// <param name="output">can be read while the command runs</param>
    /// <param name="cancellation">what ctrl-C is to the program</param>
    public Task<(int Code, string Out, string Error)> RunAsync(Screen output, CancellationToken cancellation, params string[] args) => RunAsync(output, new Screen(), cancellation, args);

    public async Task<(int Code, string Out, string Error)> RunAsync(Screen output, Screen error, CancellationToken cancellation, params string[] args)
    {
        var bytes = new MemoryStream();
        var shell = new Shell(
            new StringReader(Input), output, error, new Terminal(IsTerminal, IsTerminal, IsTerminal, 120, _ => _secrets.TryDequeue(out var secret) ? secret : null),
            name => name == "GRID_HOME" ? Home : Environment.GetValueOrDefault(name), Time, System.Security.Cryptography.RandomNumberGenerator.GetBytes,
            server => new HttpClient(new Cable(this)) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan })
        { Bytes = () => bytes, BytesIn = () => new MemoryStream(System.Text.Encoding.UTF8.GetBytes(Input)) };
        var code = await CommandLine.RunAsync(args, shell, cancellation);
        var text = output.ToString() + System.Text.Encoding.UTF8.GetString(bytes.ToArray());
        // The promise of every command, whatever was asked of it.
        Assert.DoesNotContain("   at ", text + error, StringComparison.Ordinal);
        Assert.DoesNotContain("Unhandled", text + error, StringComparison.Ordinal);
        Assert.DoesNotContain("[defect]", error.ToString(), StringComparison.Ordinal);
        return (code, text, error.ToString());
    }

    /// <summary>Runs with <c>-o json</c> what must end well.</summary>
    public async Task<JsonObject> JsonAsync(params string[] args)
    {
        var (code, text, error) = await RunAsync([.. args, "-o", "json"]);
        Assert.True(code is Exit.Ok or Exit.Negative, $"grid {string.Join(' ', args)}: {code} {error}");
        Assert.Equal("", error);
        return JsonNode.Parse(text)!.AsObject();
    }

    /// <summary>Runs with <c>-o json</c> what must be refused, with the exit code that such a refusal has.</summary>
    public async Task<string> RefusedAsync(params string[] args)
    {
        var (code, text, error) = await RunAsync([.. args, "-o", "json"]);
        Assert.Equal("", text);
        var document = JsonNode.Parse(error)!["error"]!;
        Assert.True(code == (document["code"]!.GetValue<string>() == CliCode.Usage && args[0] != "plan" ? Exit.Usage : Exit.Error), $"grid {string.Join(' ', args)}: {code} {text}{error}");
        // What, why, and what to do next, of each thing that is wrong.
        Assert.All(JsonNode.Parse(error)!["errors"]!.AsArray(), e => Assert.True(e!["detail"]?.GetValue<string>() is { Length: > 0 } && e["next"]?.GetValue<string>() is { Length: > 0 }, $"grid {string.Join(' ', args)}: {e}"));
        return document["code"]!.GetValue<string>();
    }

    public void Dispose() => Directory.Delete(Home, recursive: true);

    private sealed class Cable(TestShell shell) : DelegatingHandler(new SocketsHttpHandler())
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            shell.IsAlone ? throw new HttpRequestException("The cable is out.") : base.SendAsync(request, cancellationToken);
    }

    /// <summary>Compares with a file beside the tests; GRID_GOLDEN=1 writes it anew, for a person to read before it is kept.</summary>
    public static void IsGolden(string name, string actual, [CallerFilePath] string here = "")
    {
        var path = Path.Combine(Path.GetDirectoryName(here)!, "Golden", name);
        if (System.Environment.GetEnvironmentVariable("GRID_GOLDEN") == "1")
            File.WriteAllText(path, actual);
        Assert.Equal(File.ReadAllText(path), actual);
    }
}

/// <summary>Text that one side writes while the other looks.</summary>
internal sealed class Screen : TextWriter
{
    private readonly System.Text.StringBuilder _text = new();
    private readonly Lock _one = new();

    public override System.Text.Encoding Encoding => System.Text.Encoding.UTF8;

    public override void Write(char value)
    {
        lock (_one)
            _text.Append(value);
    }

    public override string ToString()
    {
        lock (_one)
            return _text.ToString();
    }

    /// <summary>Waits until the text is there.</summary>
    /// <param name="after">behind this, which is there already</param>
    public async Task ShowsAsync(string text, string after = "")
    {
        var began = TimeProvider.System.GetTimestamp();
        while (ToString() is var shown && shown.IndexOf(text, shown.IndexOf(after, StringComparison.Ordinal), StringComparison.Ordinal) < 0)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(20), $"'{text}' was not shown:\n{ToString()}");
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }
}
