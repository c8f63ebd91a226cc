using System.Runtime.InteropServices;
using Grid.Flists.Mount.Fuse;

namespace Grid.Flists.Mount.Serving;

/// <summary>
/// Writes READDIR and READDIRPLUS records. An offset is a position: 0 is ".", 1 is "..", n + 2 is the n-th child; nothing is remembered between two calls.
/// </summary>
internal static class DirectoryListing
{
    public static int Write(FlistTree tree, int directory, ulong offset, bool withAttributes, Span<byte> destination)
    {
        var meta = tree.Meta[directory];
        var end = (ulong)meta.ChildCount + 2;
        var written = 0;
        for (var at = offset; at < end; at++)
        {
            var inode = at switch { 0 => directory, 1 => meta.Parent, _ => meta.FirstChild + (int)(at - 2) };
            var name = at switch { 0 => "."u8, 1 => ".."u8, _ => tree.Meta.Name(inode) };
            var head = withAttributes ? EntryOut.Size : 0;
            var length = head + ((Dirent.Size + name.Length + 7) & ~7);
            if (length > destination.Length - written)
                break;
            var record = destination.Slice(written, length);
            record.Clear();
            if (withAttributes)
            {
                // The kernel takes no reference through "." and ".."; node 0 says so.
                var entry = at < 2 ? default : tree.Entry(inode);
                MemoryMarshal.Write(record, entry);
            }
            var dirent = new Dirent
            {
                Ino = (ulong)tree.Canonical(inode) + 1,
                NextOffset = at + 1,
                NameLength = (uint)name.Length,
                Type = (uint)tree.Meta[inode].Type,
            };
            MemoryMarshal.Write(record[head..], dirent);
            name.CopyTo(record[(head + Dirent.Size)..]);
            written += length;
        }
        return written;
    }
}
