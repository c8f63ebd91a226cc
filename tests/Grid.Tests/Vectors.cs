using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Grid.Tests;

/// <summary>The files under <c>tests/vectors</c>, found from where this file was compiled.</summary>
internal static class Vectors
{
    public static string Folder { get; } = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Here())!, "..", "vectors"));

    /// <summary>True when our own vectors are to be written anew rather than compared.</summary>
    public static bool Write { get; } = Environment.GetEnvironmentVariable("GRID_WRITE_VECTORS") == "1";

    public static JsonArray Array(string name) => Node(name).AsArray();

    public static JsonNode Node(string name) => JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, name)))!;

    public static void Save(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    public static string Text(this JsonNode node, string member) => node[member]!.GetValue<string>();

    public static long Number(this JsonNode node, string member) => node[member]!.GetValue<long>();

    public static byte[] Hex(this JsonNode node, string member) => Convert.FromHexString(node.Text(member));

    private static string Here([CallerFilePath] string path = "") => path;
}
