using System.Text;

namespace Grid.Flists.Build;

/// <summary>
/// An image: an OCI image layout in a directory or tar, or the archive of <c>docker save</c>. Layers are laid over one another as image-spec's
/// layer.md says: whiteouts and opaque directories take away what lower layers put there, never what their own layer puts there.
/// </summary>
public sealed class OciSource(string path) : ITreeSource
{
    private static ReadOnlySpan<byte> Whiteout => ".wh."u8;

    private static ReadOnlySpan<byte> Opaque => ".wh..wh..opq"u8;

    public Task<SourceTree> ReadAsync(BuildOptions options, CancellationToken cancellation) => Task.Run(() =>
    {
        var spool = new Spool(options);
        ImageFiles? files = null;
        try
        {
            files = ImageFiles.Open(path, spool, cancellation);
            var image = new OciReader(files, options).Read();
            var archives = Unpack(image, spool, options, cancellation);
            var entries = new TarTree(new TreeBuilder(options, layered: true));
            foreach (var archive in archives)
                Lay(archive, entries, cancellation);
            if (image.User is { } user)
                entries.Tree.Drop($"user '{user}' of the image's configuration, which is a name", "."u8);
            return (SourceTree)new ArchivedTree(entries, spool, files) { Start = image.Start, Platform = image.Platform };
        }
        catch
        {
            spool.Dispose();
            files?.Dispose();
            throw;
        }
    }, cancellation);

    private static FileSlice[] Unpack(OciImage image, Spool spool, BuildOptions options, CancellationToken cancellation)
    {
        var archives = new FileSlice[image.Layers.Count];
        var bad = new FlistBuildException?[archives.Length];
        spool.Expect(image.Layers.Sum(l => l.Slice.Length));
        Parallel.For(0, archives.Length, new ParallelOptions { MaxDegreeOfParallelism = options.Workers, CancellationToken = cancellation }, (n, loop) =>
        {
            try
            {
                var layer = image.Layers[n];
                archives[n] = spool.Unpack(layer.Slice, out var compressed, out var plain, cancellation);
                if ((layer.Compressed is { } c && c != compressed) || (layer.Plain is { } p && p != plain))
                    throw new FlistBuildException(FlistBuildCode.DigestMismatch, $"Layer {n + 1} of {archives.Length} does not hash to the digest the image gives it.");
            }
            catch (FlistBuildException e)
            {
                // The first layer's error is told whichever thread was faster.
                bad[n] = e;
            }
        });
        return bad.FirstOrDefault(e => e is not null) is { } first ? throw first : archives;
    }

    private static void Lay(FileSlice archive, TarTree entries, CancellationToken cancellation)
    {
        // Removals first: they are about lower layers, wherever in the archive they stand.
        var reader = new TarReader(archive);
        while (reader.Next() is { } entry)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Name(entry.Path) is var name && name.StartsWith(Whiteout))
                TakeAway(entries.Tree, entry.Path, name);
        }
        reader = new TarReader(archive);
        while (reader.Next() is { } entry)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!Name(entry.Path).StartsWith(Whiteout))
                entries.Add(archive, entry);
        }
    }

    private static void TakeAway(TreeBuilder tree, byte[] path, ReadOnlySpan<byte> name)
    {
        var directory = path.AsSpan(0, path.AsSpan().LastIndexOf(name));
        if (name.SequenceEqual(Opaque))
        {
            if (tree.Find(directory) is DirectoryNode opaque)
                opaque.Clear();
        }
        else if (name.StartsWith(".wh..wh."u8))
        {
            // Marks of the file system that made the layer (aufs).
            tree.Drop($"mark {Encoding.UTF8.GetString(name)}", path);
        }
        else
        {
            var hidden = name[Whiteout.Length..];
            if (hidden.IsEmpty || hidden.SequenceEqual("."u8) || hidden.SequenceEqual(".."u8))
                throw new FlistBuildException(FlistBuildCode.UnsafePath, $"'{FlistBuildException.Show(path)}' is a whiteout of nothing that has a name.");
            tree.Remove([.. directory, .. hidden]);
        }
    }

    private static ReadOnlySpan<byte> Name(ReadOnlySpan<byte> path)
    {
        path = path.TrimEnd((byte)'/');
        return path[(path.LastIndexOf((byte)'/') + 1)..];
    }
}
