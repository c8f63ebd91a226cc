using System.Text;

namespace Grid.Flists.Build;

/// <summary>A source cannot become an flist as it is. <see cref="Code"/> is a <see cref="FlistBuildCode"/>.</summary>
public sealed class FlistBuildException(string code, string message, Exception? inner = null) : FormatException(message, inner)
{
    public string Code { get; } = code;

    /// <summary>A raw path for people: what is not UTF-8 is replaced, what is not printable escaped.</summary>
    public static string Show(ReadOnlySpan<byte> path)
    {
        var text = new StringBuilder();
        foreach (var rune in Encoding.UTF8.GetString(path[..int.Min(path.Length, 512)]).EnumerateRunes())
            text.Append(Rune.IsControl(rune) ? $"\\x{rune.Value:x2}" : rune.ToString());
        return text.ToString();
    }
}

/// <summary>Why a source is refused. Codes never change their meaning.</summary>
public static class FlistBuildCode
{
    // Archives
    public const string BadCompression = "bad-compression";
    public const string OutputLimit = "output-limit";
    public const string NotAnArchive = "not-an-archive";
    public const string BadHeader = "bad-header";
    public const string BadChecksum = "bad-checksum";
    public const string Truncated = "truncated";
    public const string TrailingData = "trailing-data";
    public const string UnknownEntryType = "unknown-entry-type";
    public const string SparseUnsupported = "sparse-unsupported";

    // Names
    public const string UnsafePath = "unsafe-path";
    public const string ThroughLink = "through-link";
    public const string NotADirectory = "not-a-directory";
    public const string DuplicateName = "duplicate-name";
    public const string BadLinkTarget = "bad-link-target";

    // Values
    public const string OutOfRange = "out-of-range";
    public const string TooLarge = "too-large";
    public const string DeviceRefused = "device-refused";

    // Directories
    public const string SourceMissing = "source-missing";
    public const string SourceUnreadable = "source-unreadable";
    public const string SourceChanged = "source-changed";

    // Images
    public const string BadImage = "bad-image";
    public const string BlobMissing = "blob-missing";
    public const string DigestMismatch = "digest-mismatch";
    public const string UnsupportedMediaType = "unsupported-media-type";
    public const string PlatformMissing = "platform-missing";
    public const string Ambiguous = "ambiguous";
}
