using Spectre.Console;

namespace Grid.Cli.Output;

/// <summary>
/// A terminal's screen that is shown anew: each picture is painted over the last in one write, so that nothing flickers, and lines that are wider
/// than the terminal end at its edge instead of breaking the table (ECMA-48, DEC private mode 7).
/// </summary>
internal sealed class Screen : IDisposable
{
    private const string Clear = "\e[H\e[2J";
    private const string Home = "\e[H";
    private const string EndOfLine = "\e[K";
    private const string EndOfScreen = "\e[J";
    private const string NoWrap = "\e[?7l";
    private const string Wrap = "\e[?7h";

    private readonly TextWriter _terminal;
    private bool _shown;
    private bool _disposed;

    public Screen(TextWriter terminal) => _terminal = terminal;

    public void Show(Action<TextWriter> paint)
    {
        var page = new StringWriter { NewLine = "\n" };
        paint(page);
        var text = page.ToString().Replace("\n", EndOfLine + "\n", StringComparison.Ordinal);
        _terminal.Write((_shown ? "" : NoWrap + Clear) + Home + text + EndOfScreen);
        _terminal.Flush();
        _shown = true;
    }

    public void Dispose()
    {
        if (_disposed || !_shown)
            return;
        _disposed = true;
        _terminal.Write(Wrap);
        _terminal.Flush();
    }

    /// <summary>For live views that Spectre.Console draws.</summary>
    public static IAnsiConsole Live(Session session) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Out = new AnsiConsoleOutput(session.Shell.Error),
        ColorSystem = session.Colour ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
    });
}
