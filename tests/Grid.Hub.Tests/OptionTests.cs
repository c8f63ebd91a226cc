namespace Grid.Hub.Tests;

public sealed class OptionTests
{
    [Fact]
    public void Help_tells_every_option_and_what_holds_without_it()
    {
        var without = HubOptions.Parse(["--store", "x"], out _)!;
        var defaults = HelpText.Check(HubOptions.Usage, HubOptions.Names);

        Assert.Equal(["--listen", "--max-meta", "--max-uploads", "--max-connections"], defaults.Select(d => d.Name));
        Assert.All(defaults, d => Assert.Equal(without, HubOptions.Parse(["--store", "x", d.Name, d.Value], out _)));
        Assert.All(HubOptions.Names, n => Assert.NotEqual(without, HubOptions.Parse(["--store", "x", n, n == "--listen" ? "http://127.0.0.1:1" : "7"], out _)));
    }
}
