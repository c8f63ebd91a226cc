using System.Runtime.InteropServices;

namespace Grid.Ledger.Postgres;

/// <summary>&lt;unistd.h&gt;</summary>
internal static partial class Unistd
{
    [LibraryImport("libc", EntryPoint = "geteuid")]
    internal static partial uint EffectiveUser();

    /// <summary>Does not follow a link at the end of the path.</summary>
    [LibraryImport("libc", EntryPoint = "lchown", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    internal static partial int ChangeOwner(string path, uint user, uint group);
}
