namespace Grid.Flists.Packs;

/// <summary>A pack, its table, a frame or an index is not what FORMAT.md says.</summary>
public sealed class PackFormatException(string message, Exception? inner = null) : FormatException(message, inner);
