using System.Runtime.InteropServices;
using Grid.Flists.Mount.Interop;

namespace Grid.Flists.Mount.Fuse;

/// <summary>One request as it was read from /dev/fuse; nothing in it is looked at before its length is checked.</summary>
internal readonly ref struct FuseRequest
{
    private readonly ReadOnlySpan<byte> _body;

    private FuseRequest(InHeader header, ReadOnlySpan<byte> body)
    {
        Header = header;
        _body = body;
    }

    public InHeader Header { get; }

    public ReadOnlySpan<byte> Body => _body;

    /// <summary>False when the bytes hold no header: such a request has no number that an answer could name.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out FuseRequest request)
    {
        request = default;
        if (!MemoryMarshal.TryRead(bytes, out InHeader header))
            return false;
        // A length that does not match leaves an empty body: the operation's own check then refuses it.
        var whole = header.Length == bytes.Length && header.ExtensionWords * 8 <= bytes.Length - InHeader.Size;
        request = new FuseRequest(header, whole ? bytes[InHeader.Size..^(header.ExtensionWords * 8)] : default);
        return true;
    }

    /// <summary>The structure the body begins with.</summary>
    /// <exception cref="FuseErrorException">EINVAL: the body is shorter</exception>
    public T Read<T>() where T : unmanaged => MemoryMarshal.TryRead(_body, out T value) ? value : throw new FuseErrorException(Errno.EINVAL);

    /// <summary>The name after a structure of the given size: 1 to 255 bytes and one NUL, to the end of the body.</summary>
    /// <exception cref="FuseErrorException">EINVAL</exception>
    public ReadOnlySpan<byte> Name(int at = 0)
    {
        if (_body.Length <= at)
            throw new FuseErrorException(Errno.EINVAL);
        var name = _body[at..];
        return name.IndexOf((byte)0) is var end and >= 1 and <= 255 && end == name.Length - 1
            ? name[..end]
            : throw new FuseErrorException(Errno.EINVAL);
    }
}

/// <summary>The request is answered with this error.</summary>
internal sealed class FuseErrorException(Errno error) : Exception
{
    public Errno Error => error;
}
