using System.Globalization;

namespace Grid.Node.Gateways.Front;

/// <summary>What the front has to say: routes, certificates, its end. Never requests. Two files of at most 256 KiB.</summary>
internal sealed class FrontLog(string path, TimeProvider time)
{
    private const long Largest = 256 * 1024;

    private readonly Lock _one = new();

    public void Write(string line)
    {
        lock (_one)
        {
            try
            {
                if (File.Exists(path) && new FileInfo(path).Length > Largest)
                    File.Move(path, path + ".1", overwrite: true);
                File.AppendAllText(path, $"{time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture)} {line.ReplaceLineEndings(" ")}\n");
            }
            catch (IOException)
            {
                // What is served is served on a full disk too, and nobody can be told.
            }
        }
    }
}
