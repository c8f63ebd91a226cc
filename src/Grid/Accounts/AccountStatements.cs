using System.Collections.Immutable;
using Grid.Statements;

namespace Grid.Accounts;

/// <summary>Founds an account; signed by every one of its keys, so nobody enrols a key that is not theirs.</summary>
public sealed record OpenAccount(KeyPolicy Policy) : Body
{
    public const string Name = "account.open";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => Policy.Write(w);

    internal static OpenAccount Read(CanonicalReader r) => new(KeyPolicy.Read(r));
}

/// <summary>Replaces an account's keys; must satisfy the old policy and carry a signature of every new key.</summary>
public sealed record RekeyAccount(KeyPolicy Policy) : Body
{
    public const string Name = "account.rekey";

    public override string Kind => Name;

    public override void Write(CanonicalWriter w) => Policy.Write(w);

    internal static RekeyAccount Read(CanonicalReader r) => new(KeyPolicy.Read(r));
}

/// <summary>
/// Who may sign for an account, and how many must.
/// <code>key-policy = { "keys": [1*64 key], "threshold": 1..64 }    ; keys sorted, unique</code>
/// </summary>
public sealed record KeyPolicy(ImmutableArray<PublicKey> Keys, int Threshold)
{
    public const int MaximumKeys = 64;

    public bool IsSatisfiedBy(IEnumerable<PublicKey> signers) => signers.Count(Keys.Contains) >= Threshold;

    public void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("keys").Array(Keys, (a, k) => a.PublicKey(k));
        m.Key("threshold").UInt(Threshold);
    });

    internal static KeyPolicy Read(CanonicalReader r) => r.Map(m =>
    {
        var keys = m.Field("keys").Set(MaximumKeys, k => k.Key(), (a, b) => a.CompareTo(b));
        var threshold = (int)m.Field("threshold").UInt(MaximumKeys);
        return threshold < 1 || threshold > keys.Length
            ? throw CanonicalReader.Malformed($"A threshold of {threshold} cannot be met by {keys.Length} keys.")
            : new KeyPolicy(keys, threshold);
    });

    public bool Equals(KeyPolicy? other) => other is not null && Threshold == other.Threshold && Keys.AsSpan().SequenceEqual(other.Keys.AsSpan());

    public override int GetHashCode() => HashCode.Combine(Threshold, Keys.Length, Keys.IsEmpty ? default : Keys[0]);
}
