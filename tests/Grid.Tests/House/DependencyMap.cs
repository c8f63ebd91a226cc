using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Grid.Tests.House;

/// <summary>Projects are split by what they depend on. This is the map; a new arrow is a decision.</summary>
public sealed class DependencyMap
{
    private static readonly Dictionary<string, string[]> Projects = new()
    {
        ["Grid"] = [],
        ["Grid.Flists"] = ["Grid"],
        ["Grid.Flists.Mount"] = ["Grid.Flists"],
        ["Grid.Ledger"] = ["Grid"],
        ["Grid.Client"] = ["Grid"],
        ["Grid.Mount"] = ["Grid.Flists.Mount"],
        ["Grid.Telemetry"] = [],
        ["Grid.Api"] = ["Grid.Ledger", "Grid.Flists", "Grid.Telemetry"],
        ["Grid.Hub"] = ["Grid.Flists"],
        ["Grid.Node"] = ["Grid.Client", "Grid.Flists.Mount", "Grid.Telemetry"],
        ["Grid.Cli"] = ["Grid.Client", "Grid.Flists.Mount", "Grid.Telemetry"],
    };

    private static readonly string[] Hosts = ["Grid.Api", "Grid.Hub", "Grid.Node", "Grid.Mount", "Grid.Cli"];

    [Fact]
    public void Every_project_depends_on_what_the_map_says_and_nothing_else() => Assert.Equal(
        Projects.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key} -> {string.Join(", ", p.Value.Order(StringComparer.Ordinal))}"),
        Files().Select(f => $"{Path.GetFileNameWithoutExtension(f)} -> {string.Join(", ", References(f, "ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Replace('\\', '/'))).Order(StringComparer.Ordinal))}"));

    [Fact]
    public void Nothing_depends_on_a_host() =>
        Assert.DoesNotContain(Projects.Values.SelectMany(p => p), Hosts.Contains);

    [Fact]
    public void The_model_has_cryptography_and_no_other_package() => Assert.Equal(
        ["Microsoft.CodeAnalysis.BannedApiAnalyzers", "NSec.Cryptography"],
        References(Files().First(f => f.EndsWith("/Grid.csproj", StringComparison.Ordinal)), "PackageReference").Order(StringComparer.Ordinal));

    [Fact]
    public void Only_the_ledger_sees_the_database() => Assert.Equal(
        ["Grid.Ledger"],
        Files().Where(f => References(f, "PackageReference").Any(p => p is "Marten" or "Npgsql")).Select(Path.GetFileNameWithoutExtension));

    [Fact]
    public void The_top_of_the_house_is_fixed()
    {
        string[] allowed =
        [
            "src", "contracts", "tests", "tools", "Grid.sln", "docker-compose.yml", "README.md",
            "Directory.Build.props", "Directory.Packages.props", "global.json", "LICENSE",
        ];
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(Root).Select(e => Path.GetFileName(e)!), n => !n.StartsWith('.') && !allowed.Contains(n));
    }

    [Fact]
    public void Every_refusal_code_is_given_somewhere()
    {
        var sources = Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText).ToList();
        Assert.DoesNotContain(typeof(RefusalCode).GetFields().Where(f => f.IsLiteral), f => !sources.Exists(s => Regex.IsMatch(s, $@"RefusalCode\.{f.Name}\b")));
    }

    private static string Root { get; } = FindRoot();

    private static IEnumerable<string> Files() =>
        Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories).OrderBy(f => Path.GetFileNameWithoutExtension(f), StringComparer.Ordinal);

    private static IEnumerable<string> References(string file, string kind) =>
        XDocument.Load(file).Descendants(kind).Select(e => (string)e.Attribute("Include")!);

    private static string FindRoot([CallerFilePath] string here = "")
    {
        var directory = Path.GetDirectoryName(here);
        while (directory is not null && !File.Exists(Path.Combine(directory, "Grid.sln")))
            directory = Path.GetDirectoryName(directory);
        return directory ?? throw new DirectoryNotFoundException("Grid.sln is not above this file.");
    }
}
