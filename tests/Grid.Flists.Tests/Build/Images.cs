using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Grid.Flists.Tests.Build;

/// <summary>Writes OCI image layouts for tests.</summary>
internal static class Images
{
    public static byte[] Gzip(byte[] bytes)
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest))
            gzip.Write(bytes);
        return packed.ToArray();
    }

    public static byte[] Zstd(byte[] bytes)
    {
        using var compressor = new ZstdSharp.Compressor(3);
        return compressor.Wrap(bytes).ToArray();
    }

    public static string Hex(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>A layout of layers, the first plain, the second gzip, the third zstd, and so on.</summary>
    /// <param name="change">may change any description before it is hashed: "config", "manifest", "index"</param>
    public static void Layout(string root, IReadOnlyList<byte[]> layers, object? run = null, Func<string, string, string>? change = null)
    {
        change ??= (_, json) => json;
        var blobs = Directory.CreateDirectory(Path.Combine(root, "blobs", "sha256")).FullName;
        string[] kinds = ["", "+gzip", "+zstd"];
        var packed = layers.Select((l, n) => (n % 3) switch { 1 => Gzip(l), 2 => Zstd(l), _ => l }).ToList();
        var config = Text("config", new
        {
            architecture = "amd64",
            os = "linux",
            config = run ?? new { },
            rootfs = new { type = "layers", diff_ids = layers.Select(l => "sha256:" + Hex(l)) },
        });
        var manifest = Text("manifest", new
        {
            schemaVersion = 2,
            mediaType = "application/vnd.oci.image.manifest.v1+json",
            config = Describe("application/vnd.oci.image.config.v1+json", config),
            layers = packed.Select((p, n) => Describe("application/vnd.oci.image.layer.v1.tar" + kinds[n % 3], p)),
        });
        var index = Text("index", new { schemaVersion = 2, manifests = new[] { Describe("application/vnd.oci.image.manifest.v1+json", manifest) } });
        File.WriteAllText(Path.Combine(root, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""");
        File.WriteAllBytes(Path.Combine(root, "index.json"), index);
        foreach (var blob in packed.Append(config).Append(manifest))
            File.WriteAllBytes(Path.Combine(blobs, Hex(blob)), blob);

        byte[] Text(string name, object value) => Encoding.UTF8.GetBytes(change(name, JsonSerializer.Serialize(value)));
    }

    private static object Describe(string mediaType, byte[] blob) => new { mediaType, digest = "sha256:" + Hex(blob), size = blob.Length };
}
