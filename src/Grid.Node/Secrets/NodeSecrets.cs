using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Unicode;
using Grid.Node.Containers;
using Grid.Secrets;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Node.Secrets;

/// <summary>Opens what was sealed to this node, and hands it to the workload and to nobody else: its environment, or files in memory.</summary>
/// <param name="opener">null where nothing is started any more</param>
/// <param name="inMemory">false when the node's run directory is on a disk, where an opened secret must not be</param>
internal sealed class NodeSecrets(SecretOpener? opener, SecretPlaces places, bool inMemory)
{
    public SecretPlaces Places => places;

    /// <summary>Why these workloads could not be given what is sealed in them; null when they can.</summary>
    public Refusal? Examine(AccountId user, IEnumerable<Workload> workloads)
    {
        foreach (var workload in workloads.OfType<Runnable>())
        {
            foreach (var secret in workload.Secrets)
            {
                if (!inMemory)
                    return new Refusal(RefusalCode.UnsupportedKind, $"'{workload.Name}' has secrets, and this node keeps its run directory on a disk.");
                using var opened = Open(workload, secret, user);
                if (opened.Refusal is { } refusal)
                    return refusal;
            }
        }
        return null;
    }

    /// <summary>The container as described, with its secrets.</summary>
    /// <param name="anew">false: its files are there, and perhaps in use</param>
    public (ContainerSpec? Spec, Outcome Outcome) Give(ContainerSpec spec, Container container, AccountId user, bool anew)
    {
        var opened = container.Secrets.Select(s => (Secret: s, Value: Open(container, s, user))).ToList();
        try
        {
            if (opened.Select(o => o.Value.Refusal).FirstOrDefault(r => r is not null) is { } refusal)
                return (null, new Outcome.Refused(refusal));
            var files = opened.Where(o => o.Secret.IsFile).Select(o => (o.Secret, o.Value.Bytes)).ToList();
            return (spec with
            {
                Environment = spec.Environment.AddRange(opened.Where(o => !o.Secret.IsFile).Select(o => KeyValuePair.Create(o.Secret.At, Encoding.UTF8.GetString(o.Value.Bytes)))),
                Volumes = spec.Volumes.AddRange(places.Show(spec.Id, files, container.User, spec.Uids, anew)),
            }, new Outcome.Done());
        }
        finally
        {
            opened.ForEach(o => o.Value.Dispose());
        }
    }

    /// <summary>What a machine's firmware is to hand over, by name; the caller disposes of each.</summary>
    public ImmutableArray<(string Name, Opened Value)> Credentials(Runnable machine, AccountId user) => [.. machine.Secrets.Select(s => (s.At, Open(machine, s, user)))];

    private Opened Open(Runnable workload, Secret secret, AccountId user)
    {
        if (opener?.Open(secret, user) is not { } bytes)
            return new Opened([], new Refusal(RefusalCode.SecretNotSealed, $"The secret '{secret.At}' of '{workload.Name}' was not sealed to this node for {user}.", "Seal it anew: what is sealed for one account and node opens for no other."));
        var fits = secret.IsFile || workload is not Container || (Utf8.IsValid(bytes) && !bytes.Contains((byte)0));
        return new Opened(bytes, fits ? null : new Refusal(RefusalCode.Malformed, $"The secret '{secret.At}' of '{workload.Name}' holds what no variable can.", "Let the workload find it as a file."));
    }

    /// <summary>A value while it is needed.</summary>
    internal sealed class Opened(byte[] bytes, Refusal? refusal) : IDisposable
    {
        public byte[] Bytes => bytes;

        public Refusal? Refusal => refusal;

        public void Dispose() => CryptographicOperations.ZeroMemory(bytes);
    }
}
