using System.Collections.Immutable;
using System.Globalization;
using Grid.Log;
using Grid.Statements;
using Grid.Units;

namespace Grid.Client;

/// <summary>
/// What an audit has found right, so that the next one goes on from there.
/// <code>
/// DIR/verified   SIZE ROOT: so many entries, a multiple of 256, were found right and hash to that root
/// DIR/N          entries 256 N and on, as the ledger serves them (C2SP tlog-tiles); counts only below SIZE
/// </code>
/// Whoever can write here can spare a forged signature its check, so the directory is private. What is damaged is found by the root and read again
/// from the ledger.
/// </summary>
public sealed class AuditCache(string directory)
{
    private string Verified => Path.Combine(directory, "verified");

    /// <summary>The entries found right before, in their order; empty when there are none or they are not whole any more.</summary>
    internal ImmutableArray<Entry> Load()
    {
        try
        {
            if (!File.Exists(Verified) || File.ReadAllText(Verified).Split(' ') is not [var text, var root] || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size))
                return [];
            var entries = ImmutableArray.CreateBuilder<Entry>();
            for (var bundle = 0L; entries.Count < size; bundle++)
                entries.AddRange(EntryBundle.Decode(File.ReadAllBytes(PathOf(bundle))).Select(b => Entry.Decode(b)));
            var tree = LogTree.Empty.Append([.. entries.Select(e => e.LeafHash)]);
            return tree.Size == size && tree.Root == Digest.ParseHex(root.Trim()) ? entries.ToImmutable() : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            // A cache that cannot be read spares nothing; the ledger has it all.
            return [];
        }
    }

    internal void Keep(long bundle, ImmutableArray<Entry> entries)
    {
        PrivateDirectory.Make(directory);
        Replace(PathOf(bundle), EntryBundle.Encode([.. entries.Select(e => e.Bytes)]));
    }

    internal void Mark(LogTree tree, long size) => Replace(Verified, System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{size} {tree.RootAt(size)}")));

    /// <summary>The next audit begins at the first entry.</summary>
    public void Forget()
    {
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
    }

    private string PathOf(long bundle) => Path.Combine(directory, bundle.ToString(CultureInfo.InvariantCulture));

    private static void Replace(string path, byte[] content)
    {
        File.WriteAllBytes(path + ".new", content);
        File.Move(path + ".new", path, overwrite: true);
    }
}
