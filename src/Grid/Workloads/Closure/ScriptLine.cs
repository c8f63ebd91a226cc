using System.Buffers;

namespace Grid.Workloads;

/// <summary>The first line of a script as Linux reads it (fs/binfmt_script.c): an interpreter and at most one argument, in the first 256 bytes.</summary>
internal readonly record struct ScriptLine(string Interpreter, string? Argument)
{
    /// <summary>BINPRM_BUF_SIZE of include/uapi/linux/binfmts.h.</summary>
    public const int Head = 256;

    private static readonly SearchValues<char> Unplain = SearchValues.Create("= \t\\'\"$#");

    public static bool IsScript(ReadOnlySpan<byte> head) => head.StartsWith("#!"u8);

    /// <summary>Null when Linux would refuse it: no interpreter, or one that may be cut off.</summary>
    /// <param name="head">the first 256 bytes of the file, or all of them</param>
    public static ScriptLine? Parse(ReadOnlySpan<byte> head)
    {
        // The kernel's buffer is filled up with zeros.
        Span<byte> buffer = stackalloc byte[Head];
        buffer.Clear();
        head[..int.Min(head.Length, Head)].CopyTo(buffer);
        var text = buffer[2..];
        var end = text.IndexOfAny((byte)'\n', (byte)0);
        if (end < 0 || text[end] == 0)
        {
            // No end of line: the name must end within the buffer, or it may be only the start of one.
            var start = text.IndexOfAnyExcept((byte)' ', (byte)'\t');
            if (start < 0 || text[start..].IndexOfAny((byte)' ', (byte)'\t', (byte)0) < 0)
                return null;
            end = end < 0 ? Head - 3 : end;
        }
        var line = text[..end].TrimEnd(" \t"u8).TrimStart(" \t"u8);
        if (line.IsEmpty)
            return null;
        var gap = line.IndexOfAny((byte)' ', (byte)'\t');
        return gap < 0
            ? new ScriptLine(RawPath.Of(line), null)
            : new ScriptLine(RawPath.Of(line[..gap]), RawPath.Of(line[gap..].TrimStart(" \t"u8)));
    }

    /// <summary>
    /// The program that <c>env</c> is told to run, where that is plain to see: <c>#!/usr/bin/env X</c>, or <c>-S X …</c> with X a word without quotes,
    /// escapes or variables. Null otherwise.
    /// </summary>
    public string? ProgramOfEnv()
    {
        var words = Argument?.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries) ?? [];
        var split = words is ["-S", ..];
        var name = split ? words.ElementAtOrDefault(1) : Argument;
        return name is null or "" || name.StartsWith('-') || name.AsSpan().ContainsAny(Unplain) ? null : name;
    }
}
