using System.Text.Json;
using System.Text.Unicode;

namespace Grid.Units;

/// <summary>What System.Text.Json lets through in JSON that somebody else wrote.</summary>
public static class WholeJson
{
    /// <summary>
    /// Looks through it before it is read. The serializer refuses null for a member that has none, but not for an item of a list; and a document looks at
    /// a text only when that is asked for.
    /// </summary>
    /// <exception cref="JsonException">it is no JSON, an item of a list is null, or a name or a text is not Unicode</exception>
    public static void Check(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json);
        var isMember = false;
        while (reader.Read())
        {
            if (reader.TokenType is JsonTokenType.Null && !isMember && reader.CurrentDepth > 0)
                throw new JsonException("An item of a list is null.");
            if (reader.TokenType is JsonTokenType.PropertyName or JsonTokenType.String && !IsText(ref reader))
                throw new JsonException("A text is not Unicode.");
            isMember = reader.TokenType is JsonTokenType.PropertyName;
        }
    }

    private static bool IsText(ref Utf8JsonReader reader)
    {
        if (!reader.ValueIsEscaped)
            return Utf8.IsValid(reader.ValueSpan);
        try
        {
            return reader.GetString() is not null;
        }
        catch (InvalidOperationException)
        {
            // Half of a surrogate pair.
            return false;
        }
    }
}
