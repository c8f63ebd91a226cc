using System.Buffers.Binary;
using System.Collections.Frozen;
using Grid.Accounts;
using Grid.Agreements;
using Grid.Farms;
using Grid.Log;
using Grid.Nodes;
using Grid.World;
using JasperFx.Events;
using Marten.Events;
using Event = Grid.World.Event;
using IEventBinarySerializer = JasperFx.Events.IEventBinarySerializer;

namespace Grid.Ledger.Store;

/// <summary>
/// An event as Marten keeps it: the entry that made it happen, from which everything about it can be computed again.
/// <code>bdata = index: 8 bytes, big-endian ‖ the entry's bytes, or nothing behind the first event of one entry in one stream</code>
/// </summary>
public interface IRecorded
{
    long Index { get; }

    /// <summary>Empty when an earlier event of this stream has the same index and holds it.</summary>
    ReadOnlyMemory<byte> Entry { get; }
}

/// <typeparam name="T">what happened; a type of its own for each stored name</typeparam>
public sealed record Recorded<T>(long Index, ReadOnlyMemory<byte> Entry) : IRecorded where T : Event;

/// <summary>The stored name of every event, mapped by hand: never renamed, never used for anything else.</summary>
public static class RecordedEvents
{
    private static readonly FrozenDictionary<Type, Mapping> Mappings = new[]
    {
        Map<LedgerOpened>("ledger.opened"),
        Map<AccountEvent.Opened>("account.opened"),
        Map<AccountEvent.Rekeyed>("account.rekeyed"),
        Map<FarmEvent.Registered>("farm.registered"),
        Map<FarmEvent.AddressesListed>("farm.addresses-listed"),
        Map<FarmEvent.NodeInvited>("farm.node-invited"),
        Map<FarmEvent.OfferPosted>("farm.offer-posted"),
        Map<FarmEvent.OfferWithdrawn>("farm.offer-withdrawn"),
        Map<NodeEvent.Joined>("node.joined"),
        Map<NodeEvent.Reported>("node.reported"),
        Map<NodeEvent.Retired>("node.retired"),
        Map<NodeEvent.Drained>("node.drained"),
        Map<AgreementEvent.Proposed>("agreement.proposed"),
        Map<AgreementEvent.Countersigned>("agreement.countersigned"),
        Map<AgreementEvent.Agreed>("agreement.agreed"),
        Map<AgreementEvent.NodeReady>("agreement.node-ready"),
        Map<AgreementEvent.BecameReady>("agreement.ready"),
        Map<AgreementEvent.NodeRunning>("agreement.node-running"),
        Map<AgreementEvent.BecameRunning>("agreement.running"),
        Map<AgreementEvent.AmendmentProposed>("agreement.amendment-proposed"),
        Map<AgreementEvent.AmendmentCountersigned>("agreement.amendment-countersigned"),
        Map<AgreementEvent.AmendmentAgreed>("agreement.amendment-agreed"),
        Map<AgreementEvent.AmendmentNodeReady>("agreement.amendment-node-ready"),
        Map<AgreementEvent.Amended>("agreement.amended"),
        Map<AgreementEvent.AmendmentDropped>("agreement.amendment-dropped"),
        Map<AgreementEvent.EndAnnounced>("agreement.end-announced"),
        Map<AgreementEvent.Ended>("agreement.ended"),
        Map<AgreementEvent.Lapsed>("agreement.lapsed"),
        Map<AgreementEvent.Refused>("agreement.refused"),
        Map<AgreementEvent.Withdrawn>("agreement.withdrawn"),
    }.ToFrozenDictionary(m => m.Event);

    /// <summary>True when the event is stored under this name; facts of high rate have no stream and are not.</summary>
    public static bool IsMapped(Type happened, string name) => Mappings.TryGetValue(happened, out var mapping) && mapping.Name == name;

    /// <summary>What goes into the event's stream.</summary>
    public static IRecorded Record(Event happened, long index, ReadOnlyMemory<byte> entry) => Mappings[happened.GetType()].Make(index, entry);

    /// <summary>The name Marten finds the type by, as it writes it beside the event.</summary>
    internal static string DotNetTypeOf(Event happened) => Mappings[happened.GetType()].DotNetType;

    internal static byte[] Encode(long index, ReadOnlyMemory<byte> entry)
    {
        var bytes = new byte[sizeof(long) + entry.Length];
        BinaryPrimitives.WriteInt64BigEndian(bytes, index);
        entry.Span.CopyTo(bytes.AsSpan(sizeof(long)));
        return bytes;
    }

    internal static void Configure(IEventStoreOptions events)
    {
        foreach (var mapping in Mappings.Values)
            mapping.Configure(events);
    }

    private static Mapping Map<T>(string name) where T : Event => new(typeof(T), name, (index, entry) => new Recorded<T>(index, entry), events =>
    {
        events.MapEventType<Recorded<T>>(name);
        events.UseBinarySerializer<Recorded<T>>(new EntryBytes<T>());
    });

    private sealed record Mapping(Type Event, string Name, Func<long, ReadOnlyMemory<byte>, IRecorded> Make, Action<IEventStoreOptions> Configure)
    {
        public string DotNetType { get; } = typeof(Recorded<>).MakeGenericType(Event) is var type ? $"{type.FullName}, {type.Assembly.GetName().Name}" : "";
    }

    // JSON would reorder and normalise; signed bytes are kept as they are.
    private sealed class EntryBytes<T> : IEventBinarySerializer where T : Event
    {
        public byte[] Serialize(Type type, object data) => Encode(((IRecorded)data).Index, ((IRecorded)data).Entry);

        public object Deserialize(Type type, byte[] data) => new Recorded<T>(BinaryPrimitives.ReadInt64BigEndian(data), data.AsMemory(sizeof(long)));
    }
}
