using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Build;

/// <summary>The files an image consists of, in a directory or in one tar.</summary>
internal abstract class ImageFiles : IDisposable
{
    /// <summary>Null when there is none of this name. Names are relative, with '/' between their parts.</summary>
    public abstract FileSlice? Find(string name);

    public abstract void Dispose();

    /// <exception cref="FlistBuildException">nothing is there</exception>
    public static ImageFiles Open(string path, Spool spool, CancellationToken cancellation)
    {
        if (Directory.Exists(path))
            return new InDirectory(path);
        if (!File.Exists(path))
            throw new FlistBuildException(FlistBuildCode.SourceMissing, $"There is no file or directory '{path}'.");
        var file = Sources.Open(path);
        try
        {
            return new InTar(file, spool.Unpack(FileSlice.Whole(file), cancellation));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private sealed class InDirectory(string root) : ImageFiles
    {
        private readonly List<SafeFileHandle> _open = [];

        public override FileSlice? Find(string name)
        {
            var path = Path.Combine(root, name);
            if (name.Split('/').Contains("..") || Path.IsPathRooted(name) || name.Contains('\0') || !File.Exists(path))
                return null;
            var file = Sources.Open(path);
            _open.Add(file);
            return FileSlice.Whole(file);
        }

        public override void Dispose() => _open.ForEach(f => f.Dispose());
    }

    // docker save makes links between layers that are equal, so names are followed one link far.
    private sealed class InTar : ImageFiles
    {
        private readonly SafeFileHandle _file;
        private readonly Dictionary<string, FileSlice> _files = new(StringComparer.Ordinal);
        private readonly Dictionary<string, string> _links = new(StringComparer.Ordinal);

        public InTar(SafeFileHandle file, FileSlice archive)
        {
            _file = file;
            var reader = new TarReader(archive);
            while (reader.Next() is { } entry)
            {
                var name = Normal(Encoding.UTF8.GetString(entry.Path));
                if (entry.Type == TarEntryType.File)
                    _files[name] = new FileSlice(archive.Handle, archive.Offset + entry.DataAt, entry.Size);
                else if (entry.Type == TarEntryType.Symlink)
                    _links[name] = Normal($"{name}/../{Encoding.UTF8.GetString(entry.LinkTarget)}");
                else if (entry.Type == TarEntryType.HardLink)
                    _links[name] = Normal(Encoding.UTF8.GetString(entry.LinkTarget));
            }
        }

        public override FileSlice? Find(string name)
        {
            name = Normal(name);
            return _files.TryGetValue(name, out var slice) || (_links.TryGetValue(name, out var target) && _files.TryGetValue(target, out slice)) ? slice : null;
        }

        public override void Dispose() => _file.Dispose();

        private static string Normal(string path)
        {
            var parts = new List<string>();
            foreach (var part in path.Split('/'))
            {
                if (part is "" or ".")
                    continue;
                if (part != "..")
                    parts.Add(part);
                else if (parts.Count > 0)
                    parts.RemoveAt(parts.Count - 1);
            }
            return string.Join('/', parts);
        }
    }
}
