using System.Globalization;
using Grid.Units;

namespace Grid.Node.Containers;

/// <summary>
/// What a running container says about itself besides its id. It stands in the shim's command line, where only the kernel can lose it,
/// and as annotations in the bundle, where it is found after the end.
/// </summary>
/// <param name="Version">digest of the agreement's version that asked for it</param>
/// <param name="Generation">counts the changes of this workload</param>
/// <param name="Spec">digest of the described workload, see <see cref="ContainerSpec.DigestOf"/></param>
/// <param name="Restarts">how often it was started again within its generation</param>
public sealed record ContainerLabel(Digest Version, long Generation, Digest Spec, int Restarts)
{
    private const string Prefix = "grid";

    /// <summary><c>grid/version/generation/spec/restarts</c></summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Prefix}/{Version}/{Generation}/{Spec}/{Restarts}");

    /// <returns>null when the text is not a label</returns>
    public static ContainerLabel? Parse(string? text)
    {
        if (text?.Split('/') is not [Prefix, { Length: 64 } version, var generation, { Length: 64 } spec, var restarts]
            || version.AsSpan().ContainsAnyExcept(Hex) || spec.AsSpan().ContainsAnyExcept(Hex)
            || !long.TryParse(generation, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            || !int.TryParse(restarts, NumberStyles.None, CultureInfo.InvariantCulture, out var count))
            return null;
        return new ContainerLabel(Digest.ParseHex(version), number, Digest.ParseHex(spec), count);
    }

    private static readonly System.Buffers.SearchValues<char> Hex = System.Buffers.SearchValues.Create("0123456789abcdef");
}
