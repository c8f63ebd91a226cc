namespace Grid.Node.Agent;

/// <summary>Why something is as it is, no longer than a statement has room for.</summary>
internal static class Reason
{
    /// <returns>the whole text, or its beginning up to the last letter that fits; half a surrogate pair, which no UTF-8 can say, becomes U+FFFD</returns>
    /// <param name="longest">in bytes of UTF-8</param>
    public static string Cut(string text, int longest)
    {
        var bytes = 0;
        return string.Concat(text.EnumerateRunes().TakeWhile(r => (bytes += r.Utf8SequenceLength) <= longest));
    }
}
