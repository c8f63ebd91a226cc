using System.Collections.Immutable;
using Grid.Units;

namespace Grid.World;

/// <summary>What becomes of a statement. The signatures were checked before; this is about what they are worth.</summary>
public abstract record Decision
{
    private Decision()
    {
    }

    /// <summary>It becomes the next entry, and this is what it changes.</summary>
    public sealed record Accepted(ImmutableArray<Event> Events) : Decision;

    /// <summary>It is not recorded.</summary>
    public sealed record Refused(Refusal Refusal) : Decision;

    /// <summary>It was accepted before, as entry <paramref name="Index"/>, and says nothing new: answered as it was then.</summary>
    public sealed record Known(long Index) : Decision;

    public static Decision Accept(params ImmutableArray<Event> events) => new Accepted(events);

    public static Decision Refuse(string code, string detail, string? next = null) => new Refused(new Refusal(code, detail, next));

    public static implicit operator Decision(Refusal refusal) => new Refused(refusal);

    public static implicit operator Decision(Event happened) => new Accepted([happened]);
}

/// <summary>
/// One change of one thing. Closed in each noun's folder; stored under <see cref="Name"/>, which never changes its meaning.
/// </summary>
public abstract record Event
{
    /// <summary>Noun and past participle: <c>agreement.proposed</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The history this belongs to: an account's, a farm's, a node's or an agreement's.</summary>
    public abstract StreamId Stream { get; }

    /// <summary>
    /// The things whose proof needs the entry behind this event, by the digest that names them; see <see cref="GridState.ProofOf"/>.
    /// </summary>
    public virtual ImmutableArray<Digest> Subjects => [Stream.Value];

    /// <summary>True for facts of high rate, which have a place in the log and a projection but no stream.</summary>
    public virtual bool IsHighRate => false;

    /// <summary>True when an entry only reports: nothing that stands was changed by it, and no decision rests on it.</summary>
    public static bool OnlyReport(ImmutableArray<Event> events) => events.All(e => e.IsHighRate);
}

/// <param name="Kind">ledger, account, farm, node or agreement</param>
public readonly record struct StreamId(string Kind, Digest Value)
{
    public override string ToString() => $"{Kind}/{Value}";
}
