namespace Grid.Units;

/// <summary>Bech32m (BIP 350) over 8-bit data. Source: https://github.com/bitcoin/bips/blob/master/bip-0350.mediawiki</summary>
public static class Bech32m
{
    private const string Alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    private const uint Constant = 0x2bc830a3;
    private const int MaximumLength = 120;

    public static string Encode(string prefix, ReadOnlySpan<byte> data)
    {
        var words = Regroup(data, 8, 5, pad: true)!;
        Span<byte> check = stackalloc byte[6];
        var sum = Checksum(prefix, words, check) ^ Constant;
        for (var i = 0; i < 6; i++)
            check[i] = (byte)((sum >> (5 * (5 - i))) & 31);
        return string.Concat(prefix, "1", Letters(words), Letters(check));
    }

    /// <summary>Refuses mixed case, a wrong checksum, foreign letters, and padding that encoding would not produce.</summary>
    public static bool TryDecode(string? text, out string prefix, out byte[] data)
    {
        (prefix, data) = ("", []);
        if (text is null || text.Length > MaximumLength || text.Any(char.IsAsciiLetterUpper))
            return false;
        var separator = text.LastIndexOf('1');
        if (separator < 1 || text.Length - separator < 7 || text.AsSpan(0, separator).ContainsAnyExceptInRange('!', '~'))
            return false;
        var words = new byte[text.Length - separator - 1];
        for (var i = 0; i < words.Length; i++)
        {
            var value = Alphabet.IndexOf(text[separator + 1 + i], StringComparison.Ordinal);
            if (value < 0)
                return false;
            words[i] = (byte)value;
        }
        prefix = text[..separator];
        if (Checksum(prefix, words, []) != Constant || Regroup(words.AsSpan(0, words.Length - 6), 5, 8, pad: false) is not { } bytes)
            return false;
        data = bytes;
        return true;
    }

    private static string Letters(ReadOnlySpan<byte> words)
    {
        Span<char> text = stackalloc char[words.Length];
        for (var i = 0; i < words.Length; i++)
            text[i] = Alphabet[words[i]];
        return new string(text);
    }

    private static uint Checksum(string prefix, ReadOnlySpan<byte> words, ReadOnlySpan<byte> trailer)
    {
        uint sum = 1;
        foreach (var letter in prefix)
            Step(ref sum, (byte)(letter >> 5));
        Step(ref sum, 0);
        foreach (var letter in prefix)
            Step(ref sum, (byte)(letter & 31));
        foreach (var word in words)
            Step(ref sum, word);
        for (var i = 0; i < trailer.Length; i++)
            Step(ref sum, 0);
        return sum;
    }

    private static void Step(ref uint sum, byte value)
    {
        var top = sum >> 25;
        sum = ((sum & 0x1ffffff) << 5) ^ value;
        if ((top & 1) != 0) sum ^= 0x3b6a57b2;
        if ((top & 2) != 0) sum ^= 0x26508e6d;
        if ((top & 4) != 0) sum ^= 0x1ea119fa;
        if ((top & 8) != 0) sum ^= 0x3d4233dd;
        if ((top & 16) != 0) sum ^= 0x2a1462b3;
    }

    private static byte[]? Regroup(ReadOnlySpan<byte> source, int from, int to, bool pad)
    {
        var result = new List<byte>(((source.Length * from) / to) + 1);
        var (buffer, bits) = (0, 0);
        foreach (var value in source)
        {
            buffer = ((buffer << from) | value) & 0xfff;
            bits += from;
            while (bits >= to)
            {
                bits -= to;
                result.Add((byte)((buffer >> bits) & ((1 << to) - 1)));
            }
        }
        if (pad && bits > 0)
            result.Add((byte)((buffer << (to - bits)) & ((1 << to) - 1)));
        if (!pad && (bits >= from || ((buffer << (to - bits)) & ((1 << to) - 1)) != 0))
            return null;
        return [.. result];
    }
}
