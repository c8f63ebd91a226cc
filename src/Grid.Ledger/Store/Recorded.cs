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

/// <summary>An event as Marten keeps it: the bytes of the entry that made it happen, from which everything about it can be computed again.</summary>
public interface IRecorded
{
    ReadOnlyMemory<byte> Entry { get; }
}

/// <typeparam name="T">what happened; a type of its own for each stored name</typeparam>
public sealed record Recorded<T>(ReadOnlyMemory<byte> Entry) : IRecorded where T : Event;

/// <summary>The stored name of every event, mapped by hand: never renamed, never used for anything else.</summary>
public static class RecordedEvents
{
    private static readonly FrozenDictionary<Type, Mapping> Mappings = new[]
    {
        Map<LedgerOpened>("ledger.opened"),
        Map<AccountEvent.Opened>("account.opened"),
        Map<AccountEvent.Rekeyed>("account.rekeyed"),
        Map<FarmEvent.Registered>("farm.registered"),
        Map<FarmEvent.NodeInvited>("farm.node-invited"),
        Map<FarmEvent.OfferPosted>("farm.offer-posted"),
        Map<FarmEvent.OfferWithdrawn>("farm.offer-withdrawn"),
        Map<NodeEvent.Joined>("node.joined"),
        Map<NodeEvent.Reported>("node.reported"),
        Map<NodeEvent.Retired>("node.retired"),
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
    public static object Record(Event happened, ReadOnlyMemory<byte> entry) => Mappings[happened.GetType()].Make(entry);

    internal static void Configure(IEventStoreOptions events)
    {
        foreach (var mapping in Mappings.Values)
            mapping.Configure(events);
    }

    private static Mapping Map<T>(string name) where T : Event => new(typeof(T), name, bytes => new Recorded<T>(bytes), events =>
    {
        events.MapEventType<Recorded<T>>(name);
        events.UseBinarySerializer<Recorded<T>>(new EntryBytes<T>());
    });

    private sealed record Mapping(Type Event, string Name, Func<ReadOnlyMemory<byte>, object> Make, Action<IEventStoreOptions> Configure);

    // JSON would reorder and normalise; signed bytes are kept as they are.
    private sealed class EntryBytes<T> : IEventBinarySerializer where T : Event
    {
        public byte[] Serialize(Type type, object data) => ((IRecorded)data).Entry.ToArray();

        public object Deserialize(Type type, byte[] data) => new Recorded<T>(data);
    }
}
