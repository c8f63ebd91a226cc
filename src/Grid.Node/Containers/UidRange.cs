using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Grid.Flists.Mount;

namespace Grid.Node.Containers;

/// <summary>
/// The host's user and group ids that stand for 0…65535 inside one container. No two containers on a node share one, so that
/// a process which leaves its namespaces is nobody to every other workload.
/// </summary>
/// <param name="First">the host id of the container's root</param>
public readonly record struct UidRange(uint First)
{
    public const int Count = 65_536;

    /// <summary>As those who show files to it want it.</summary>
    public IdRange Ids => new(First, Count);

    /// <summary>Ranges below are the distribution's and systemd's (user sub-ids end at 600,100,000; systemd-nspawn's at 1,879,048,191).</summary>
    public const uint Base = 0x4000_0000;

    /// <summary>Ids of 2³¹ and above are negative to programs that take them for an int, and are left alone.</summary>
    public const int Slots = 0x4000_0000 / Count;

    /// <summary>The slot that the id hashes to, or the next one that nobody has.</summary>
    /// <returns>null when every slot is taken</returns>
    public static UidRange? Choose(ContainerId id, IReadOnlySet<UidRange> taken)
    {
        var start = BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes(id.ToString()))) % Slots;
        for (var i = 0; i < Slots; i++)
        {
            var range = new UidRange(Base + (uint)((start + i) % Slots * Count));
            if (!taken.Contains(range))
                return range;
        }
        return null;
    }
}
