namespace Grid.Flists;

/// <summary>The one error that reading a meta file, a manifest or a list of extended attributes raises. <see cref="Code"/> is a <see cref="FlistFormatCode"/>.</summary>
public sealed class FlistFormatException(string code, string message, Exception? inner = null) : FormatException(message, inner)
{
    public string Code { get; } = code;
}

/// <summary>Why the bytes of an flist are refused. Codes never change their meaning; each has a case in <c>tests/vectors/flists</c>.</summary>
public static class FlistFormatCode
{
    public const string BadMagic = "bad-magic";
    public const string UnknownVersion = "unknown-version";
    public const string UnknownHash = "unknown-hash";
    public const string UnknownFlags = "unknown-flags";

    /// <summary>The file is not as long as it says, or too short to say anything.</summary>
    public const string BadLength = "bad-length";

    /// <summary>A section does not lie where its size puts it, or the space between sections is not zero.</summary>
    public const string BadSection = "bad-section";

    /// <summary>A limit of the format is exceeded.</summary>
    public const string TooLarge = "too-large";

    /// <summary>Children are not contiguous, in breadth-first order and reached exactly once from their parent.</summary>
    public const string BadTree = "bad-tree";
    public const string BadName = "bad-name";
    public const string UnsortedNames = "unsorted-names";

    /// <summary>A type, mode, owner, time, device number or reserved field holds what a tree cannot have.</summary>
    public const string BadAttribute = "bad-attribute";

    /// <summary>Chunks do not match the size, or the chunk table is not in order of first use.</summary>
    public const string BadContent = "bad-content";

    /// <summary>A symbolic link without a target, or with one that no kernel would store.</summary>
    public const string BadTarget = "bad-target";

    /// <summary>Hard-link groups are misnumbered, have one member, or members that differ.</summary>
    public const string BadLinks = "bad-links";
    public const string BadXattrs = "bad-xattrs";
    public const string WrongDirectoryId = "wrong-directory-id";
    public const string WrongRoot = "wrong-root";
    public const string BadManifest = "bad-manifest";
}
