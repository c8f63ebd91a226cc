using System.Diagnostics.CodeAnalysis;

namespace Grid.Client;

/// <summary>
/// What came of asking: what was asked for, a typed no, or an answer that does not hold up. Only a server that cannot be reached is an
/// exception (<see cref="LedgerUnreachableException"/>), because then nobody knows.
/// </summary>
public abstract record Answer<T>
{
    private Answer()
    {
    }

    public sealed record Given(T Value) : Answer<T>;

    public sealed record Refused(Refusal Refusal) : Answer<T>;

    /// <summary>The answer contradicts a signature, a proof or its own form. Whoever gave it must not be believed again without a look.</summary>
    public sealed record Disproved(Refusal Refusal) : Answer<T>;

    /// <summary>The value, or the refusal that stands for it.</summary>
    public bool Try([MaybeNullWhen(false)] out T value, [NotNullWhen(false)] out Refusal? refusal)
    {
        (value, refusal) = this switch
        {
            Given g => (g.Value, null),
            Refused r => (default, r.Refusal),
            Disproved d => (default(T), d.Refusal),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        return refusal is null;
    }

    /// <summary>The same no for another question.</summary>
    public Answer<TOther> As<TOther>(Func<T, TOther> map) => this switch
    {
        Given g => new Answer<TOther>.Given(map(g.Value)),
        Refused r => new Answer<TOther>.Refused(r.Refusal),
        Disproved d => new Answer<TOther>.Disproved(d.Refusal),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static implicit operator Answer<T>(T value) => new Given(value);

    public static implicit operator Answer<T>(Refusal refusal) => new Refused(refusal);

    public static Answer<T> FromT(T value) => value;

    public static Answer<T> FromRefusal(Refusal refusal) => refusal;
}

/// <summary>Nobody answered, or not in time, or the answer broke off: what was asked may or may not have happened. Statements may be sent again.</summary>
public sealed class LedgerUnreachableException : Exception
{
    public LedgerUnreachableException(Uri server, string why, Exception? inner = null) : base($"{server} {why}", inner) => Server = server;

    public Uri Server { get; }
}
