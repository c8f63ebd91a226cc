using System.Collections.Immutable;
using Grid.Statements;

namespace Grid.Secrets;

/// <summary>Something that a workload needs and nobody else may read, in an agreement that everybody can: sealed to the node that the workload is on.</summary>
/// <param name="At">
/// where the workload finds it. A container: the name of a variable of its environment, or the absolute path of a file, in a directory of which nothing else is seen.
/// A machine: the name of a systemd credential, which its firmware hands over.
/// </param>
/// <param name="Sealed">see <see cref="SecretSeal"/></param>
public sealed record Secret(string At, ReadOnlyMemory<byte> Sealed)
{
    /// <summary>Of one workload.</summary>
    public const int Most = 64;

    public bool IsFile => At.StartsWith('/');

    /// <summary>The directory of a secret that is a file; empty for one in the root itself, where none may be.</summary>
    public string Directory => At[..int.Max(0, At.LastIndexOf('/'))];

    public string FileName => At[(At.LastIndexOf('/') + 1)..];

    /// <summary>The directories that hold a workload's files, each once.</summary>
    public static IEnumerable<string> Directories(IEnumerable<Secret> secrets) => secrets.Where(s => s.IsFile && s.Directory.Length > 0).Select(s => s.Directory).Distinct().Order(StringComparer.Ordinal);

    public bool Equals(Secret? other) => other is not null && At == other.At && Sealed.Span.SequenceEqual(other.Sealed.Span);

    public override int GetHashCode() => At.GetHashCode(StringComparison.Ordinal);

    /// <summary><code>secret = { "at": text, "sealed": bstr }</code></summary>
    internal void Write(CanonicalWriter w) => w.Map(2, m =>
    {
        m.Key("at").Text(At);
        m.Key("sealed").ByteString(Sealed.Span);
    });

    internal static ImmutableArray<Secret> ReadAll(CanonicalReader r) => r.Set(Most, a => a.Map(m =>
    {
        var at = m.Field("at").Text(4095);
        return new Secret(at, m.Field("sealed").ByteString(SecretSeal.Largest));
    }), (a, b) => CanonicalReader.Order(a.At, b.At));
}
