namespace Grid.Flists;

public enum ResolveFailure
{
    None,
    NotFound,
    NotADirectory,
    TooManyLinks,
    TooLong,
}

public sealed partial class MetaFile
{
    /// <summary>
    /// The inode a path leads to, or -1. Symbolic links are followed as by a process whose root this tree is (path_resolution(7)): absolute targets
    /// start at the root and <c>..</c> never leaves it. A relative path starts at the root. Nothing is allocated.
    /// </summary>
    /// <param name="followLast">whether a link that the whole path leads to is followed too</param>
    public int Resolve(ReadOnlySpan<byte> path, out ResolveFailure failure, bool followLast = true)
    {
        failure = ResolveFailure.None;
        if (path.IsEmpty)
            return Fail(ResolveFailure.NotFound, out failure);
        if (path.Length > FlistLimits.Path)
            return Fail(ResolveFailure.TooLong, out failure);

        // What is left of the path. Following a link puts its target in front of the rest, in the one of two buffers that the rest is not in.
        const int Space = FlistLimits.Path + FlistLimits.Target + 1;
        Span<byte> even = stackalloc byte[Space];
        Span<byte> odd = stackalloc byte[Space];
        scoped var left = path;
        var links = 0;
        var at = 0;
        while (true)
        {
            var rest = left.TrimStart((byte)'/');
            if (rest.IsEmpty)
                return left.IsEmpty || this[at].Type == EntryType.Directory ? at : Fail(ResolveFailure.NotADirectory, out failure);
            if (this[at].Type != EntryType.Directory)
                return Fail(ResolveFailure.NotADirectory, out failure);
            var end = rest.IndexOf((byte)'/');
            var name = end < 0 ? rest : rest[..end];
            left = end < 0 ? default : rest[end..];

            if (name.SequenceEqual("."u8))
                continue;
            if (name.SequenceEqual(".."u8))
            {
                at = this[at].Parent;
                continue;
            }
            var child = Lookup(at, name);
            if (child < 0)
                return Fail(ResolveFailure.NotFound, out failure);
            if (this[child].Type != EntryType.Symlink || (left.IsEmpty && !followLast))
            {
                at = child;
                continue;
            }

            if (++links > FlistLimits.LinksFollowed)
                return Fail(ResolveFailure.TooManyLinks, out failure);
            var target = SymlinkTarget(child);
            if (target.Length + left.Length > Space)
                return Fail(ResolveFailure.TooLong, out failure);
            var buffer = (links & 1) == 0 ? even : odd;
            target.CopyTo(buffer);
            left.CopyTo(buffer[target.Length..]);
            left = buffer[..(target.Length + left.Length)];
            if (target[0] == '/')
                at = 0;
        }
    }

    private static int Fail(ResolveFailure why, out ResolveFailure failure)
    {
        failure = why;
        return -1;
    }
}
