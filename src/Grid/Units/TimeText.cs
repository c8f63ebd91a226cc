using System.Globalization;

namespace Grid.Units;

/// <summary>Times in sentences and documents, for people and programs alike: RFC 3339 in UTC and whole seconds, as drafts are written.</summary>
public static class TimeText
{
    public static string Text(this DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
