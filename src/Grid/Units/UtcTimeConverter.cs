using System.Text.Json;
using System.Text.Json.Serialization;

namespace Grid.Units;

/// <summary>Times as people write them: RFC 3339 with <c>Z</c>, where the framework would write <c>+00:00</c>. Any offset is read.</summary>
public sealed class UtcTimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetDateTimeOffset();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) => writer.WriteStringValue(value.UtcDateTime);
}
