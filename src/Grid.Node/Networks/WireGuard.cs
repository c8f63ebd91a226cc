using System.Collections.Immutable;
using Grid.Networks;

namespace Grid.Node.Networks;

/// <summary>A way to have WireGuard. Interfaces are born in the node's namespace, where their UDP socket stays when they are moved into a container's.</summary>
internal interface IWireGuard
{
    /// <summary>This node's tunnels, whichever agent made them.</summary>
    /// <exception cref="IOException">they cannot be told</exception>
    ImmutableArray<IRunningTunnel> Find();

    /// <summary>Makes one that is not there.</summary>
    /// <exception cref="IOException">it does not come up</exception>
    IRunningTunnel Start(TunnelId id, string name);

    /// <summary>Removes what is left of one that was not finished or did not end by itself; nothing of one that runs.</summary>
    void Forget(string name);
}

/// <summary>A tunnel of this node as it is on the machine.</summary>
internal interface IRunningTunnel
{
    TunnelId Id { get; }

    string Interface { get; }

    /// <summary>It has just begun: that it does not listen yet is no reason to do anything.</summary>
    bool IsYoung(DateTimeOffset now);

    /// <exception cref="IOException">it does not say, or its end has just come; a SocketException too</exception>
    WireGuardState Get();

    /// <summary>The same with time to begin.</summary>
    /// <returns>null when only another one can help</returns>
    WireGuardState? Answer();

    /// <param name="privateKey">the caller wipes it</param>
    /// <exception cref="IOException">it was not accepted; a SocketException too</exception>
    void Set(WireGuardChange change, ReadOnlySpan<byte> privateKey);

    /// <summary>Ends it, and the interface with it.</summary>
    /// <returns>false when it does not end</returns>
    bool End();
}
