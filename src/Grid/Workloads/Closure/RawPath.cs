using System.Buffers;
using System.Globalization;
using System.Text;

namespace Grid.Workloads;

/// <summary>Paths and names of the flist and of ELF files are bytes. Here each byte is one character, so that they can be cut and joined as text.</summary>
internal static class RawPath
{
    public static string Of(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);

    public static string Of(string text) => Of(Encoding.UTF8.GetBytes(text));

    public static byte[] Bytes(string raw) => Encoding.Latin1.GetBytes(raw);

    /// <summary>For people: UTF-8 where it is, \xNN for control characters and bytes that are no text.</summary>
    public static string Show(string raw)
    {
        var text = new StringBuilder(raw.Length);
        ReadOnlySpan<byte> left = Bytes(raw);
        while (!left.IsEmpty)
        {
            var status = Rune.DecodeFromUtf8(left, out var rune, out var length);
            if (status == OperationStatus.Done && !Rune.IsControl(rune))
            {
                text.Append(rune);
            }
            else
            {
                foreach (var b in left[..length])
                    text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
            }
            left = left[length..];
        }
        return text.ToString();
    }

    public static string Directory(string path) => path[..int.Max(1, path.LastIndexOf('/'))];

    public static string Base(string path) => path[(path.LastIndexOf('/') + 1)..];
}
