using System.Runtime.InteropServices;
using System.Text.Json;
using Grid.Units;

namespace Grid.Flists.Build;

/// <summary>A layer's archive, and the hashes it must have: as it lies there and unpacked; null where the image names none.</summary>
internal sealed record OciLayer(FileSlice Slice, Digest? Compressed, Digest? Plain);

internal sealed record OciImage(IReadOnlyList<OciLayer> Layers, StartDefaults Start, string? User, string Platform);

/// <summary>
/// Finds one image: by the OCI image layout (image-spec v1.1: image-layout.md, image-index.md, manifest.md, config.md) or by the manifest.json of
/// <c>docker save</c>. Every blob is checked against the size and digest that name it.
/// </summary>
internal sealed class OciReader(ImageFiles files, BuildOptions options)
{
    private const int MaximumJson = 8 << 20;
    private const int MaximumNesting = 4;
    private const int MaximumLayers = 512;
    private const string ReferenceName = "org.opencontainers.image.ref.name";

    /// <exception cref="FlistBuildException"/>
    public OciImage Read()
    {
        try
        {
            if (files.Find("index.json") is { } index)
                return FromIndex(index);
            if (files.Find("manifest.json") is { } manifest)
                return FromDockerSave(manifest);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException and not FlistBuildException)
        {
            throw new FlistBuildException(FlistBuildCode.BadImage, $"The image is described in a way that is not understood: {e.Message}", e);
        }
        throw new FlistBuildException(FlistBuildCode.BadImage, "This is no image: neither index.json (OCI layout) nor manifest.json (docker save) is there.");
    }

    private OciImage FromIndex(FileSlice slice)
    {
        if (files.Find("oci-layout") is { } layout)
        {
            using var version = Json(Bytes(layout));
            if (version.RootElement.GetProperty("imageLayoutVersion").GetString() != "1.0.0")
                throw new FlistBuildException(FlistBuildCode.BadImage, "Only version 1.0.0 of the OCI image layout is known.");
        }
        using var index = Json(Bytes(slice));
        var manifests = new List<JsonElement>();
        var documents = new List<JsonDocument>();
        try
        {
            Collect(index.RootElement, manifests, documents, 0, options.Reference);
            using var manifest = Json(Blob(Choose(manifests), out _));
            return FromManifest(manifest.RootElement);
        }
        finally
        {
            documents.ForEach(d => d.Dispose());
        }
    }

    // Indexes may lie in indexes; a reference selects at the top only.
    private void Collect(JsonElement index, List<JsonElement> manifests, List<JsonDocument> documents, int depth, string? reference)
    {
        if (depth > MaximumNesting)
            throw new FlistBuildException(FlistBuildCode.BadImage, $"Image indexes are nested deeper than {MaximumNesting}.");
        foreach (var descriptor in index.GetProperty("manifests").EnumerateArray())
        {
            if (reference is not null && !(descriptor.TryGetProperty("annotations", out var notes) && notes.TryGetProperty(ReferenceName, out var name) && name.GetString() == reference))
                continue;
            switch (MediaType(descriptor))
            {
                case "application/vnd.oci.image.index.v1+json" or "application/vnd.docker.distribution.manifest.list.v2+json":
                    var nested = Json(Blob(descriptor, out _));
                    documents.Add(nested);
                    Collect(nested.RootElement, manifests, documents, depth + 1, null);
                    break;
                case "application/vnd.oci.image.manifest.v1+json" or "application/vnd.docker.distribution.manifest.v2+json":
                    if (manifests.Count >= 1000)
                        throw new FlistBuildException(FlistBuildCode.TooLarge, "The layout holds more than 1000 images.");
                    manifests.Add(descriptor);
                    break;
            }
        }
    }

    private JsonElement Choose(List<JsonElement> manifests)
    {
        if (manifests.Count == 0)
            throw new FlistBuildException(FlistBuildCode.BadImage, options.Reference is { } r ? $"No image is named '{r}'." : "The layout holds no image.");
        // A layout with one image that says nothing of a platform is that image.
        if (manifests.Count == 1 && (options.Platform is null || !manifests[0].TryGetProperty("platform", out _)))
            return manifests[0];
        var wanted = options.Platform ?? $"linux/{HostArchitecture}";
        var fitting = manifests.Where(m => m.TryGetProperty("platform", out var p) && Fits(Platform(p), wanted)).ToList();
        return fitting.Count switch
        {
            1 => fitting[0],
            0 => throw new FlistBuildException(FlistBuildCode.PlatformMissing, $"No image is for {wanted}; there are {string.Join(", ", manifests.Select(m => m.TryGetProperty("platform", out var p) ? Platform(p) : "(none said)"))}."),
            _ => throw new FlistBuildException(FlistBuildCode.Ambiguous, $"{fitting.Count} images are for {wanted}; say which by its reference."),
        };
    }

    private OciImage FromManifest(JsonElement manifest)
    {
        if (manifest.GetProperty("schemaVersion").GetInt32() != 2)
            throw new FlistBuildException(FlistBuildCode.BadImage, "Only schema version 2 of image manifests is known.");
        using var config = Json(Blob(manifest.GetProperty("config"), out _));
        var descriptors = manifest.GetProperty("layers").EnumerateArray().ToList();
        var plain = DiffIds(config.RootElement);
        if (plain.Count != descriptors.Count || plain.Count > MaximumLayers)
            throw new FlistBuildException(FlistBuildCode.BadImage, $"The image has {descriptors.Count} layers and {plain.Count} hashes of them; at most {MaximumLayers} are allowed.");
        var layers = new List<OciLayer>();
        foreach (var (descriptor, diff) in descriptors.Zip(plain))
        {
            var type = MediaType(descriptor);
            if (!type.StartsWith("application/vnd.oci.image.layer.", StringComparison.Ordinal) && !type.StartsWith("application/vnd.docker.image.rootfs.diff.tar", StringComparison.Ordinal))
                throw new FlistBuildException(FlistBuildCode.UnsupportedMediaType, $"A layer is of the type '{type}', which is no file system.");
            if (type.Contains("+encrypted", StringComparison.Ordinal))
                throw new FlistBuildException(FlistBuildCode.UnsupportedMediaType, "A layer is encrypted.");
            layers.Add(new OciLayer(Locate(descriptor, out var digest), digest, diff));
        }
        return Image(config.RootElement, layers);
    }

    // The archive names files, not digests; the configuration's hashes of the unpacked layers hold it together.
    private OciImage FromDockerSave(FileSlice slice)
    {
        using var manifest = Json(Bytes(slice));
        var images = manifest.RootElement.EnumerateArray()
            .Where(i => options.Reference is null || (i.TryGetProperty("RepoTags", out var tags) && tags.ValueKind == JsonValueKind.Array && tags.EnumerateArray().Any(t => t.GetString() == options.Reference)))
            .ToList();
        if (images.Count != 1)
            throw new FlistBuildException(images.Count == 0 ? FlistBuildCode.BadImage : FlistBuildCode.Ambiguous, $"{images.Count} images of the archive fit; say which by its tag.");
        var name = images[0].GetProperty("Config").GetString()!;
        var bytes = Bytes(Named(name));
        var stem = Path.GetFileNameWithoutExtension(name);
        if (stem.Length == 64 && stem.All(char.IsAsciiHexDigitLower) && Digest.Of(bytes) != Digest.ParseHex(stem))
            throw new FlistBuildException(FlistBuildCode.DigestMismatch, $"The configuration {name} does not hash to its name.");
        using var config = Json(bytes);
        var plain = DiffIds(config.RootElement);
        var names = images[0].GetProperty("Layers").EnumerateArray().Select(l => l.GetString()!).ToList();
        if (plain.Count != names.Count || plain.Count > MaximumLayers)
            throw new FlistBuildException(FlistBuildCode.BadImage, $"The image has {names.Count} layers and {plain.Count} hashes of them; at most {MaximumLayers} are allowed.");
        return Image(config.RootElement, [.. names.Zip(plain, (n, d) => new OciLayer(Named(n), null, d))]);
    }

    private static OciImage Image(JsonElement config, IReadOnlyList<OciLayer> layers)
    {
        var platform = Platform(config);
        if (!config.TryGetProperty("config", out var run) || run.ValueKind != JsonValueKind.Object)
            return new OciImage(layers, StartDefaults.None, null, platform);
        var command = Texts(run, "Entrypoint").Concat(Texts(run, "Cmd")).ToList();
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var variable in Texts(run, "Env"))
        {
            var equals = variable.IndexOf('=', StringComparison.Ordinal);
            environment[equals < 0 ? variable : variable[..equals]] = equals < 0 ? "" : variable[(equals + 1)..];
        }
        var user = Text(run, "User");
        var start = new StartDefaults(command.FirstOrDefault(""), [.. command.Skip(1)], [.. environment], Text(run, "WorkingDir"), Numeric(user));
        return new OciImage(layers, start, user.Length > 0 && start.User is null ? user : null, platform);
    }

    private static ManifestUser? Numeric(string user)
    {
        var parts = user.Split(':');
        return parts.Length <= 2 && uint.TryParse(parts[0], out var uid) && uint.TryParse(parts[^1], out var gid) && uid < uint.MaxValue && gid < uint.MaxValue
            ? new ManifestUser(uid, parts.Length == 2 ? gid : 0)
            : null;
    }

    private static List<Digest> DiffIds(JsonElement config) => [.. config.GetProperty("rootfs").GetProperty("diff_ids").EnumerateArray().Select(d => ParseDigest(d.GetString()))];

    private static IEnumerable<string> Texts(JsonElement of, string name) =>
        of.TryGetProperty(name, out var list) && list.ValueKind == JsonValueKind.Array ? list.EnumerateArray().Select(t => t.GetString() ?? "") : [];

    private static string Text(JsonElement of, string name) => of.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String ? text.GetString()! : "";

    private static string Platform(JsonElement of)
    {
        var variant = Text(of, "variant");
        return $"{Text(of, "os")}/{Text(of, "architecture")}{(variant.Length > 0 ? "/" + variant : "")}";
    }

    private static bool Fits(string platform, string wanted) => platform == wanted || platform.StartsWith(wanted + "/", StringComparison.Ordinal);

    private static string HostArchitecture => RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => "amd64",
        Architecture.X86 => "386",
        var other => other.ToString().ToLowerInvariant(),
    };

    private static string MediaType(JsonElement descriptor) => descriptor.GetProperty("mediaType").GetString() ?? "";

    private byte[] Blob(JsonElement descriptor, out Digest digest)
    {
        var bytes = Bytes(Locate(descriptor, out digest));
        return Digest.Of(bytes) == digest ? bytes : throw new FlistBuildException(FlistBuildCode.DigestMismatch, $"The blob sha256:{digest} does not hash to its name.");
    }

    private FileSlice Locate(JsonElement descriptor, out Digest digest)
    {
        digest = ParseDigest(descriptor.GetProperty("digest").GetString());
        var size = descriptor.GetProperty("size").GetInt64();
        var slice = Named($"blobs/sha256/{digest}");
        return slice.Length == size ? slice : throw new FlistBuildException(FlistBuildCode.DigestMismatch, $"The blob sha256:{digest} has {slice.Length} bytes, not {size}.");
    }

    private FileSlice Named(string name) => files.Find(name) ?? throw new FlistBuildException(FlistBuildCode.BlobMissing, $"The image names '{name}', which is not there.");

    private static Digest ParseDigest(string? text)
    {
        if (text is null || !text.StartsWith("sha256:", StringComparison.Ordinal) || text.Length != 71 || !text.Skip(7).All(char.IsAsciiHexDigitLower))
            throw new FlistBuildException(FlistBuildCode.BadImage, $"'{text}' is no digest of the form sha256:… in lower case.");
        return Digest.ParseHex(text.AsSpan(7));
    }

    private static byte[] Bytes(FileSlice slice)
    {
        if (slice.Length > MaximumJson)
            throw new FlistBuildException(FlistBuildCode.TooLarge, $"A description of an image has {slice.Length} bytes; {MaximumJson} are allowed.");
        var bytes = new byte[slice.Length];
        slice.Read(bytes, 0);
        return bytes;
    }

    private static JsonDocument Json(byte[] bytes) => JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 64 });
}
