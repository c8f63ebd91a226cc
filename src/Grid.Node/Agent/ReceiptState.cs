using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Grid.Node.Agent;

/// <summary>
/// What the next receipts rest on, written down for the agent that comes after this one: what was said last, and what was counted since. It counts for this boot,
/// as the counters do.
/// </summary>
[method: JsonConstructor]
internal sealed record ReceiptState(string Boot, ImmutableArray<ToldAgreement> Told, ImmutableArray<CountedWorkload> Counted)
{
    private static readonly string ThisBoot = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    public ReceiptState(ImmutableArray<ToldAgreement> told, ImmutableArray<CountedWorkload> counted)
        : this(ThisBoot, told, counted)
    {
    }

    private static ReceiptState Empty { get; } = new([], []);

    /// <returns>nothing when there is none of this boot, or what is there cannot be read: then counting begins anew</returns>
    public static ReceiptState Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(path), ReceiptStateJson.Default.ReceiptState) is { Boot: var boot } state && boot == ThisBoot ? state : Empty;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return Empty;
        }
    }

    public void Write(string path) => PrivateFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(this, ReceiptStateJson.Default.ReceiptState), durable: false);
}

/// <param name="Picture">of what was said; null when nobody knows whether it was</param>
/// <param name="At">until when it was said</param>
/// <param name="Version">under which it was said</param>
internal sealed record ToldAgreement(string Agreement, string? Picture, DateTimeOffset At, string Version);

/// <param name="Cpu">ticks of 100 ns, as they were read last; null before the first look</param>
/// <param name="Links">as they were read last; null before the first look at them</param>
/// <param name="UsedCpu">ticks since the last receipt</param>
/// <param name="UsedMemory">bytes times seconds since the last receipt</param>
/// <param name="Sent">bytes since the last receipt, as <paramref name="Received"/></param>
internal sealed record CountedWorkload(
    string Agreement, string Workload, long? Cpu, ImmutableArray<CountedLink>? Links, long UsedCpu, long UsedMemory, long Sent, long Received);

internal sealed record CountedLink(string Name, long Sent, long Received);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, RespectRequiredConstructorParameters = true, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(ReceiptState))]
internal sealed partial class ReceiptStateJson : JsonSerializerContext;
