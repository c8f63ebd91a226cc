using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grid.Flists.Zstd.Interop;

/// <summary>zstd.h of libzstd 1.5, stable part. Sizes are size_t; a result above <c>(size_t)-120</c> is an error code.</summary>
internal static partial class Libzstd
{
    public const string Name = "libzstd.so.1";

    /// <summary>ZSTD_cParameter.</summary>
    public const int CompressionLevel = 100;
    public const int WindowLog = 101;
    public const int ChecksumFlag = 201;

    /// <summary>ZSTD_dParameter.</summary>
    public const int WindowLogMax = 100;

    /// <summary>ZSTD_EndDirective.</summary>
    public const int Continue = 0;
    public const int End = 2;

    /// <summary>ZSTD_ResetDirective: session only.</summary>
    public const int ResetSession = 1;

    /// <summary>ZSTD_error_dstSize_tooSmall of zstd_errors.h.</summary>
    public const int DestinationTooSmall = 70;

    /// <summary>ZSTD_inBuffer and ZSTD_outBuffer have the same shape.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public unsafe struct Buffer
    {
        public byte* Data;
        public nuint Size;
        public nuint Position;
    }

    [LibraryImport(Name, EntryPoint = "ZSTD_versionNumber")]
    public static partial uint VersionNumber();

    [LibraryImport(Name, EntryPoint = "ZSTD_createCCtx")]
    public static partial CompressionContext CreateCompression();

    [LibraryImport(Name, EntryPoint = "ZSTD_freeCCtx")]
    public static partial nuint FreeCompression(nint context);

    [LibraryImport(Name, EntryPoint = "ZSTD_CCtx_setParameter")]
    public static partial nuint SetParameter(CompressionContext context, int parameter, int value);

    [LibraryImport(Name, EntryPoint = "ZSTD_CCtx_reset")]
    public static partial nuint Reset(CompressionContext context, int directive);

    [LibraryImport(Name, EntryPoint = "ZSTD_compress2")]
    public static partial nuint Compress(CompressionContext context, Span<byte> destination, nuint capacity, ReadOnlySpan<byte> source, nuint size);

    [LibraryImport(Name, EntryPoint = "ZSTD_compressStream2")]
    public static partial nuint CompressStream(CompressionContext context, ref Buffer output, ref Buffer input, int directive);

    [LibraryImport(Name, EntryPoint = "ZSTD_createDCtx")]
    public static partial DecompressionContext CreateDecompression();

    [LibraryImport(Name, EntryPoint = "ZSTD_freeDCtx")]
    public static partial nuint FreeDecompression(nint context);

    [LibraryImport(Name, EntryPoint = "ZSTD_DCtx_setParameter")]
    public static partial nuint SetParameter(DecompressionContext context, int parameter, int value);

    [LibraryImport(Name, EntryPoint = "ZSTD_DCtx_reset")]
    public static partial nuint Reset(DecompressionContext context, int directive);

    [LibraryImport(Name, EntryPoint = "ZSTD_decompressDCtx")]
    public static partial nuint Decompress(DecompressionContext context, Span<byte> destination, nuint capacity, ReadOnlySpan<byte> source, nuint size);

    [LibraryImport(Name, EntryPoint = "ZSTD_decompressStream")]
    public static partial nuint DecompressStream(DecompressionContext context, ref Buffer output, ref Buffer input);

    [LibraryImport(Name, EntryPoint = "ZSTD_findFrameCompressedSize")]
    public static partial nuint FindFrameCompressedSize(ReadOnlySpan<byte> source, nuint size);

    [LibraryImport(Name, EntryPoint = "ZSTD_isError")]
    public static partial uint IsError(nuint code);

    [LibraryImport(Name, EntryPoint = "ZSTD_getErrorName")]
    public static partial nint ErrorName(nuint code);
}

internal sealed class CompressionContext() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle() => Libzstd.IsError(Libzstd.FreeCompression(handle)) == 0;
}

internal sealed class DecompressionContext() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle() => Libzstd.IsError(Libzstd.FreeDecompression(handle)) == 0;
}
