using Grid.Agreements;
using Grid.Units;
using Microsoft.Extensions.Logging;

namespace Grid.Node.Agent;

/// <summary>
/// The bundles this node acts on, one file each. Nothing in it is trusted for being there: every bundle is verified when it is read. Losing it
/// costs a download.
/// </summary>
internal sealed partial class AgreementStore(string directory, ILogger log)
{
    public void Keep(Bundle bundle)
    {
        Directory.CreateDirectory(directory);
        var path = PathOf(bundle.Agreement);
        var aside = path + ".new";
        using (var file = new FileStream(aside, FileMode.Create, FileAccess.Write))
        {
            file.Write(BundleJson.Format(bundle));
            file.Flush(flushToDisk: true);
        }
        File.Move(aside, path, overwrite: true);
    }

    public void Forget(AgreementId agreement) => File.Delete(PathOf(agreement));

    /// <summary>Every bundle that can still be read; what cannot is removed and said.</summary>
    public IEnumerable<Bundle> Read()
    {
        if (!Directory.Exists(directory))
            yield break;
        foreach (var path in Directory.EnumerateFiles(directory, "*.json").Order(StringComparer.Ordinal))
        {
            if (BundleJson.TryParse(File.ReadAllBytes(path), out var bundle, out var refusal) && PathOf(bundle.Agreement) == path)
            {
                yield return bundle;
                continue;
            }
            Unreadable(path, refusal?.Code ?? RefusalCode.Malformed);
            File.Delete(path);
        }
    }

    private string PathOf(AgreementId agreement) => Path.Combine(directory, $"{agreement}.json");

    [LoggerMessage(Level = LogLevel.Warning, Message = "The stored bundle {Path} was removed: {Code}")]
    private partial void Unreadable(string path, string code);
}
