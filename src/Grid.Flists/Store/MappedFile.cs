using System.Buffers;
using System.IO.MemoryMappedFiles;

namespace Grid.Flists.Store;

/// <summary>A read-only file as memory. It must not be used after it is disposed, and the file must not be cut while it is mapped.</summary>
public sealed unsafe class MappedFile : MemoryManager<byte>
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly int _length;
    private byte* _start;

    /// <exception cref="IOException">empty, or larger than 2³¹−1 bytes</exception>
    public MappedFile(string path)
    {
        using var handle = File.OpenHandle(path);
        var length = RandomAccess.GetLength(handle);
        if (length is 0 or > int.MaxValue)
            throw new IOException($"A file of {length} bytes cannot be mapped as one memory.");
        _length = (int)length;
        // The mapping duplicates what it needs of the handle.
        _file = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        _start += _view.PointerOffset;
    }

    // Safe: the view is _length bytes long and stays mapped until Dispose.
    public override Span<byte> GetSpan() => new(_start, _length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(_start + elementIndex, pinnable: this);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
        if (_start is null)
            return;
        _start = null;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
