using System.Formats.Tar;
using Grid.Flists.Build;

namespace Grid.Flists.Tests.Build;

/// <summary>Who waits for an archive hears how much of it has been read, and in the end that all of it has.</summary>
public sealed class UnpackingTests
{
    [Theory]
    [InlineData("plain", 0)]
    [InlineData("gzip", 1)]
    [InlineData("zstd", 1)]
    [InlineData("image", 4)]
    public async Task All_of_it_is_read_in_the_end_and_never_less_than_before(string form, int least)
    {
        using var scratch = new Scratch();
        var layers = Enumerable.Range(0, 4).Select(Layer).ToList();
        if (form == "image")
            Images.Layout(scratch.NewDirectory("image"), layers);
        else
            File.WriteAllBytes(scratch["tar"], form switch { "gzip" => Images.Gzip(layers[0]), "zstd" => Images.Zstd(layers[0]), _ => layers[0] });
        var said = new Reports();
        await Collected.Build(form == "image" ? new OciSource(scratch["image"]) : new TarSource(scratch["tar"]), BuildOptions.Default with { Unpacking = said, Workers = 1 });

        Assert.True(said.All.Count >= least, $"{said.All.Count} reports");
        Assert.Equal(said.All.Order(), said.All);
        if (said.All.LastOrDefault() is { TotalBytes: > 0 } last)
            Assert.Equal(last.TotalBytes, last.Bytes);
        // What is not compressed is built where it lies; of an image all is hashed.
        Assert.Equal(form != "plain", said.All.Count > 0);
    }

    private static byte[] Layer(int number)
    {
        var bytes = new byte[1 << 20];
        new Random(number).NextBytes(bytes);
        using var tar = new MemoryStream();
        using (var writer = new TarWriter(tar, leaveOpen: true))
            writer.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, $"file-{number}") { DataStream = new MemoryStream(bytes) });
        return tar.ToArray();
    }

    private sealed class Reports : IProgress<UnpackProgress>
    {
        public List<(long Bytes, long TotalBytes)> All { get; } = [];

        public void Report(UnpackProgress value) => All.Add((value.Bytes, value.TotalBytes));
    }
}
