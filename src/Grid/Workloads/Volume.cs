using Grid.Statements;
using Grid.Units;

namespace Grid.Workloads;

public enum Media
{
    Ssd,
    Hdd,
}

public enum VolumeForm
{
    /// <summary>Directories and files, mounted by containers.</summary>
    Files,

    /// <summary>Blocks, given to one machine, which makes of them what it likes.</summary>
    Disk,
}

/// <summary>
/// Storage that outlives the workloads which use it.
/// <code>
/// volume = { "form": "disk" / "files", "keep": seconds, "kind": "volume", "name": text, "node": node-id, "size": bytes, "media": "ssd" / "hdd", "durability": "local" }
/// </code>
/// </summary>
/// <param name="Size">exact; may grow by amendment, never shrink</param>
/// <param name="Keep">how long after the end the data stays before its key is destroyed</param>
/// <param name="Form">for good</param>
public sealed record Volume(string Name, NodeId Node, Bytes Size, Media Media, TimeSpan Keep, VolumeForm Form = VolumeForm.Files) : Placed(Name, Node, [])
{
    public const string KindName = "volume";

    /// <summary>A file system below that has no room for a journal.</summary>
    public static readonly Bytes Smallest = Bytes.MiB(8);

    /// <summary>A disk is whole pages of this many bytes.</summary>
    public const int DiskPage = 4096;

    private const string Local = "local";

    public override string Kind => KindName;

    public override Capacity Demand => Media is Media.Ssd ? Capacity.None with { Ssd = Size } : Capacity.None with { Hdd = Size };

    public override void Write(CanonicalWriter w) => w.Map(8, m =>
    {
        m.Key("form").Text(Form is VolumeForm.Disk ? "disk" : "files");
        m.Key("keep").Seconds(Keep);
        m.Key("kind").Text(KindName);
        m.Key("name").Text(Name);
        m.Key("node").Id(Node);
        m.Key("size").UInt(Size.Value);
        m.Key("media").Text(Media is Media.Ssd ? "ssd" : "hdd");
        m.Key("durability").Text(Local);
    });

    internal static Volume Read(CanonicalReader r) => r.Map(m =>
    {
        var form = m.Field("form").Text(16) switch
        {
            "disk" => VolumeForm.Disk,
            "files" => VolumeForm.Files,
            var other => throw CanonicalReader.Malformed($"A volume's form is 'disk' or 'files', not '{other}'."),
        };
        var keep = m.Field("keep").Seconds();
        m.Field("kind").Text(16);
        var name = m.Field("name").Text(64);
        var node = m.Field("node").Id<NodeId>();
        var size = new Bytes(m.Field("size").UInt(1_000_000_000_000_000));
        var media = m.Field("media").Text(16) switch
        {
            "ssd" => Media.Ssd,
            "hdd" => Media.Hdd,
            var other => throw CanonicalReader.Malformed($"A medium is 'ssd' or 'hdd', not '{other}'."),
        };
        if (m.Field("durability").Text(16) is var durability and not Local)
            throw new StatementFormatException(RefusalCode.UnknownKind, $"The durability '{durability}' is not known; '{Local}' is.");
        return new Volume(name, node, size, media, keep, form);
    });
}
