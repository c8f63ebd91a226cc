using System.Globalization;
using Grid.Units;

namespace Grid.Cli.Drafts;

/// <summary>Amounts as people write them. Nothing is rounded: an amount that its unit cannot hold exactly is refused.</summary>
public static class Quantities
{
    public const string BytesForm = "an amount with a binary unit, such as 512MiB, 1.5GiB or 0B";
    public const string CpuForm = "processors, such as 2, 0.5, '1.5 cpu' or 500m";
    public const string DurationForm = "a length of time, such as 90s, 5m, 24h, 7d or 1h30m";
    public const string TimeForm = "a time such as 2026-12-01T00:00:00Z, or one counted from now such as +24h";

    public static bool TryBytes(string text, out Bytes value)
    {
        value = default;
        var digits = Number(text, out var number);
        var shift = text[digits..].Trim() switch { "B" => 0, "KiB" => 10, "MiB" => 20, "GiB" => 30, "TiB" => 40, _ => -1 };
        return digits > 0 && shift >= 0 && Exact(number, 1L << shift, 1_000_000_000_000_000, out var bytes) && (value = new Bytes(bytes)) == value;
    }

    public static bool TryCpu(string text, out MilliCores value)
    {
        value = default;
        var digits = Number(text, out var number);
        var scale = text[digits..].Trim() switch { "m" => 1, "" or "cpu" or "cpus" => 1000, _ => 0 };
        return digits > 0 && scale > 0 && Exact(number, scale, 1_000_000_000, out var milli) && (value = new MilliCores(milli)) == value;
    }

    public static bool TryDuration(string text, out TimeSpan value)
    {
        value = default;
        long seconds = 0, last = long.MaxValue;
        var rest = text.AsSpan().Trim();
        if (rest.IsEmpty)
            return false;
        while (!rest.IsEmpty)
        {
            var digits = rest.IndexOfAnyExceptInRange('0', '9');
            if (digits is < 1 or > 10 || !long.TryParse(rest[..digits], NumberStyles.None, CultureInfo.InvariantCulture, out var count))
                return false;
            long unit = rest[digits] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86_400, _ => 0 };
            // 1h30m but never 30m1h: one amount has one spelling order.
            if (unit == 0 || unit >= last)
                return false;
            last = unit;
            seconds += count * unit;
            rest = rest[(digits + 1)..];
        }
        value = TimeSpan.FromSeconds(long.Min(seconds, 3_155_760_001));
        return seconds <= 3_155_760_000;
    }

    public static bool TryTime(string text, out DraftTime value)
    {
        if (text.StartsWith('+') && TryDuration(text[1..], out var after))
        {
            value = new DraftTime.After(after);
            return true;
        }
        var exact = DateTimeOffset.TryParseExact(text, ["yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm'Z'"], CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at);
        value = new DraftTime.At(at);
        return exact && at >= DateTimeOffset.UnixEpoch;
    }

    /// <summary>The shortest of 90s, 5m, 24h, 7d, 1h30m that says it.</summary>
    public static string Text(TimeSpan value)
    {
        var seconds = (long)value.TotalSeconds;
        if (seconds == 0)
            return "0s";
        var text = "";
        foreach (var (unit, size) in new[] { ("d", 86_400L), ("h", 3600L), ("m", 60L), ("s", 1L) })
        {
            if (seconds / size > 0)
                text += $"{seconds / size}{unit}";
            seconds %= size;
        }
        return text;
    }

    private static int Number(string text, out decimal number)
    {
        var length = 0;
        while (length < text.Length && (char.IsAsciiDigit(text[length]) || text[length] == '.'))
            length++;
        return length is > 0 and <= 20 && decimal.TryParse(text.AsSpan(0, length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number)
            ? length
            : (number = 0) == 0 ? 0 : 0;
    }

    private static bool Exact(decimal number, long scale, long maximum, out long value)
    {
        value = 0;
        if (number > maximum)
            return false;
        var product = number * scale;
        if (product > maximum || product != decimal.Truncate(product))
            return false;
        value = (long)product;
        return true;
    }
}

/// <summary>A time in a draft: fixed, or counted from when the agreement is first planned.</summary>
public abstract record DraftTime
{
    public sealed record At(DateTimeOffset Time) : DraftTime;

    public sealed record After(TimeSpan Length) : DraftTime;

    public DateTimeOffset From(DateTimeOffset origin) => this switch
    {
        At a => a.Time,
        After a => origin + a.Length,
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
