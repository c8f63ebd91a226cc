using System.Text;

namespace Grid.Bench.Flists;

/// <summary>
/// The tree that is read: one file of 512 MiB made of the files of a real tree, so that it compresses as such files do; 10,000 files of 0.2 to 12 KB; and
/// 90,000 more that are only looked at.
/// </summary>
internal sealed class Corpus
{
    public const long BigBytes = 512L << 20;
    public const int SmallFiles = 10_000;
    public const int AllFiles = 100_001;
    private const int FilesPerDirectory = 100;

    private static readonly string[] Words = ["import", "return", "self", "value", "None", "def", "class", "module", "error", "index", "path", "name", "=", "(", ")", ":"];

    private Corpus(string directory) => Directory = directory;

    public string Directory { get; }

    public const string Big = "big";

    /// <summary>The small files' paths within the tree.</summary>
    public static IEnumerable<string> Small => Enumerable.Range(0, SmallFiles).Select(n => $"small/{n / FilesPerDirectory:d3}/{n % FilesPerDirectory:d2}.py");

    public static async Task<Corpus> MakeAsync(string directory, string from)
    {
        var random = new Random(7);
        System.IO.Directory.CreateDirectory(directory);
        await Shell.RunAsync($"find '{from}' -type f -print0 | sort -z | xargs -0 cat 2>/dev/null | head -c {BigBytes} > '{directory}/{Big}' || true");
        if (new FileInfo($"{directory}/{Big}").Length != BigBytes)
            throw new IOException($"{from} holds less than {BigBytes} bytes.");
        foreach (var path in Small)
            Write(Path.Combine(directory, path), random.Next(200, 12_000));
        for (var n = 0; n < AllFiles - SmallFiles - 1; n++)
            Write(Path.Combine(directory, $"many/{n / FilesPerDirectory:d3}/{n % FilesPerDirectory:d2}.txt"), 8 + random.Next(32));
        // Written and out of the way: an inode whose pages are in memory is never dropped, and uncached would not be.
        await Shell.RunAsync("sync");
        foreach (var path in System.IO.Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
            Libc.Forget(path);
        return new Corpus(directory);

        void Write(string path, int length)
        {
            if (path.EndsWith("/00.py", StringComparison.Ordinal) || path.EndsWith("/00.txt", StringComparison.Ordinal))
                System.IO.Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var text = new StringBuilder(length + 16);
            while (text.Length < length)
                text.Append(Words[random.Next(Words.Length)]).Append(random.Next(10_000)).Append(' ');
            File.WriteAllText(path, text.ToString(0, length));
        }
    }
}
