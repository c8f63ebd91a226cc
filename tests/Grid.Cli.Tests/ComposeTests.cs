using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Grid.Api;
using Grid.Cli.Yaml;
using Grid.Hub;

namespace Grid.Cli.Tests;

/// <summary>docker-compose.yml starts ledger and hub as they take it; where there is docker, for all to see.</summary>
public sealed partial class ComposeTests
{
    private static readonly string Root = RootOf();
    private static readonly string Text = File.ReadAllText(Path.Combine(Root, "docker-compose.yml"));
    private static readonly YamlNode Document = YamlText.Read(Text, out var fault) ?? throw new InvalidOperationException($"{fault}");

    [Fact]
    public void The_ledger_takes_every_option_it_is_given()
    {
        var options = LedgerOptions.Parse(Command("ledger"), out var mistakes);

        Assert.Empty(mistakes);
        Runs("ledger", typeof(LedgerOptions), options!.KeyFile, options.Listen);
    }

    [Fact]
    public void The_hub_takes_every_option_it_is_given_and_the_ledger_looks_at_flists_there()
    {
        var options = HubOptions.Parse(Command("hub"), out var mistakes);

        Assert.Empty(mistakes);
        Runs("hub", typeof(HubOptions), options!.Store, options.Listen);
        var looked = LedgerOptions.Parse(Command("ledger"), out _)!.Hub!;
        Assert.Equal(("hub", new Uri(options.Listen).Port), (looked.Host, looked.Port));
        Assert.Contains(Names("ledger", "networks"), Names("hub", "networks").Contains);
    }

    [Fact]
    public void The_database_it_asks_for_is_the_one_that_is_made()
    {
        var made = At(Document, "services", "postgres", "environment");
        var asked = Scalar(((YamlNode.Sequence)At(Document, "services", "ledger", "command")).Items.Single(i => Scalar(i).StartsWith("Host=", StringComparison.Ordinal)))
            .Split(';').Select(p => p.Split('=', 2)).ToDictionary(p => p[0], p => p[1]);

        Assert.Equal(("postgres", Scalar(At(made, "POSTGRES_DB")), Scalar(At(made, "POSTGRES_USER")), Scalar(At(made, "POSTGRES_PASSWORD"))), (asked["Host"], asked["Database"], asked["Username"], asked["Password"]));
    }

    [Fact]
    public void Only_variables_that_somebody_reads_are_set()
    {
        var set = ((YamlNode.Mapping)At(Document, "services")).Entries.SelectMany(s => ((YamlNode.Mapping)At(s.Value, "environment")).Entries.Select(e => $"{s.Key.Text} {e.Key.Text}"));

        // The image's own (hub.docker.com/_/postgres), and the runtime's.
        Assert.Subset(new HashSet<string> { "postgres POSTGRES_USER", "postgres POSTGRES_DB", "postgres POSTGRES_PASSWORD", "postgres POSTGRES_INITDB_ARGS", "ledger DOTNET_EnableDiagnostics", "hub DOTNET_EnableDiagnostics" }, set.ToHashSet());
    }

    [Fact]
    public void Who_starts_it_is_told_of_every_variable_that_it_wants() =>
        Assert.Equal(Told().Matches(Text).Select(m => m.Groups["name"].Value).Order(StringComparer.Ordinal), Variable().Matches(Text).Select(m => m.Groups["name"].Value).Distinct().Order(StringComparer.Ordinal));

    [Theory]
    [InlineData("ledger")]
    [InlineData("hub")]
    public void It_is_built_by_the_compiler_of_the_house_from_what_is_there(string service)
    {
        var file = Scalar(At(Document, "services", service, "build", "dockerfile_inline"));
        var version = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(Root, "global.json"))).RootElement.GetProperty("sdk").GetProperty("version").GetString();

        Assert.Contains($"FROM mcr.microsoft.com/dotnet/sdk:{version}-", file, StringComparison.Ordinal);
        Assert.True(Directory.Exists(Path.Combine(Root, Published().Match(file).Groups["project"].Value)));
    }

    [Fact(Timeout = 900_000)]
    public async Task Ledger_and_hub_serve_what_asks_for_them()
    {
        var cancel = TestContext.Current.CancellationToken;
        Assert.SkipUnless(await DockerAsync("info") == 0 && await DockerAsync("compose", "version") == 0, "no docker daemon, or no docker compose");
        var project = $"grid-test-{Environment.ProcessId}";
        using var http = new HttpClient();
        try
        {
            Assert.Equal(0, await DockerAsync("compose", "--project-directory", Root, "--project-name", project, "up", "--build", "--detach"));
            foreach (var health in (string[])["http://127.0.0.1:8080/readyz", "http://127.0.0.1:8090/healthz"])
            {
                for (var answer = HttpStatusCode.Unused; answer != HttpStatusCode.OK; await Task.Delay(500, cancel))
                {
                    try
                    {
                        answer = (await http.GetAsync(health, cancel)).StatusCode;
                    }
                    catch (HttpRequestException)
                    {
                        // It is still starting.
                    }
                }
            }
        }
        finally
        {
            await DockerAsync("compose", "--project-directory", Root, "--project-name", project, "down", "--volumes", "--rmi", "local");
        }
    }

    /// <returns>the exit code; -1 where there is no such program</returns>
    private static async Task<int> DockerAsync(params string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo("docker", arguments) { Environment = { ["GRID_ORIGIN"] = "grid.test/compose", ["GRID_PASSWORD"] = "of this test alone" } };
            using var docker = Process.Start(start)!;
            await docker.WaitForExitAsync();
            return docker.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return -1;
        }
    }

    /// <summary>What it keeps outlives it, it is where the world may look for it, and it is the program that the options are for.</summary>
    private static void Runs(string service, Type options, string kept, string listen)
    {
        Assert.Contains(Names(service, "volumes"), v => kept.StartsWith(v.Split(':')[1] + "/", StringComparison.Ordinal) && Names("volumes").Contains(v.Split(':')[0]));
        Assert.Contains(Names(service, "ports"), p => p.EndsWith($":{new Uri(listen).Port}", StringComparison.Ordinal));
        Assert.Contains($"ENTRYPOINT [\"/opt/grid/{options.Assembly.GetName().Name}\"]", Scalar(At(Document, "services", service, "build", "dockerfile_inline")), StringComparison.Ordinal);
    }

    private static string[] Command(string service) => [.. Names(service, "command").Select(i => Variable().Replace(i, "given"))];

    private static IEnumerable<string> Names(string service, string list) => ((YamlNode.Sequence)At(Document, "services", service, list)).Items.Select(Scalar);

    private static IEnumerable<string> Names(string top) => ((YamlNode.Mapping)At(Document, top)).Entries.Select(e => e.Key.Text);

    private static YamlNode At(YamlNode node, params ReadOnlySpan<string> path)
    {
        foreach (var name in path)
            node = ((YamlNode.Mapping)node).Entries.Single(e => e.Key.Text == name).Value;
        return node;
    }

    private static string Scalar(YamlNode node) => ((YamlNode.Scalar)node).Text;

    private static string RootOf([CallerFilePath] string here = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(here)!, "..", ".."));

    [GeneratedRegex(@"\$\{(?<name>[A-Z_]+)[^}]*\}")]
    private static partial Regex Variable();

    [GeneratedRegex("^#   (?<name>[A-Z_]+) ", RegexOptions.Multiline)]
    private static partial Regex Told();

    [GeneratedRegex(@"dotnet publish (?<project>\S+)")]
    private static partial Regex Published();
}
