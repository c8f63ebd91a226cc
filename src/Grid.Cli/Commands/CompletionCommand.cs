using System.CommandLine;
using System.Text.Json.Nodes;
using Grid.Cli.Output;

namespace Grid.Cli.Commands;

internal static class CompletionCommand
{
    // Each script hands the line and the cursor to the program itself, which knows the verbs, the options and the live ids. What it says is never a shell's
    // to expand: some of it comes from a ledger.
    private const string Bash = """
        # grid completion for bash: source <(grid completion bash)
        _grid() {
          local found word="${COMP_WORDS[COMP_CWORD]}"
          COMPREPLY=()
          while IFS= read -r found; do
            if [[ -n $found && $found == "$word"* ]]; then COMPREPLY+=("$found"); fi
          done < <("${COMP_WORDS[0]}" "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)
        }
        complete -F _grid grid

        """;

    private const string Zsh = """
        #compdef grid
        # grid completion for zsh: source <(grid completion zsh)
        _grid() {
          local -a found
          found=("${(@f)$("${words[1]}" "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
          compadd -- "${found[@]}"
        }
        compdef _grid grid

        """;

    private const string Fish = """
        # grid completion for fish: grid completion fish | source
        function __grid_complete
          set -l line (commandline -p)
          grid "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c grid -f -a "(__grid_complete)"

        """;

    public static Command Build(Frame frame) => Frame.Noun("completion", "Scripts that teach a shell to complete commands, options and live ids",
        Script(frame, "bash", Bash), Script(frame, "zsh", Zsh), Script(frame, "fish", Fish));

    private static Command Script(Frame frame, string shell, string text) =>
        frame.Verb(shell, $"The script for {shell}", [], (_, _) => Task.FromResult<Outcome>(new Outcome.Verbatim(text, new JsonObject { ["shell"] = shell, ["script"] = text })));
}
