using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Grid.Client;

namespace Grid.Cli.Output;

/// <summary>How a command ended: with a result, or with what stood in its way.</summary>
public abstract record Outcome
{
    private Outcome()
    {
    }

    /// <param name="Document">what <c>-o json</c> and <c>-o yaml</c> write</param>
    /// <param name="Blocks">what a person reads</param>
    public sealed record Done(JsonNode Document, ImmutableArray<Block> Blocks, int Code = Exit.Ok) : Outcome;

    /// <summary>Text that is itself the result, byte for byte: a completion script, a file sent to standard output.</summary>
    /// <param name="Document">what <c>-o json</c> and <c>-o yaml</c> write instead; null where those were refused before, or are obeyed by the text</param>
    public sealed record Verbatim(string Text, JsonNode? Document = null) : Outcome;

    /// <param name="Problems">at least one; where there are several, all of them</param>
    public sealed record Failed(ImmutableArray<Problem> Problems, int Code = Exit.Error) : Outcome;

    public static Outcome Of(JsonNode document, params ImmutableArray<Block> blocks) => new Done(document, blocks);

    public static implicit operator Outcome(Refusal refusal)
    {
        // "cond ? refusal : null" converts the null too, and would make a failure of nothing.
        ArgumentNullException.ThrowIfNull(refusal);
        // A value that the command itself finds wrong is as wrong as one the parser finds.
        return new Failed([new Problem(refusal)], refusal.Code == CliCode.Usage ? Exit.Usage : Exit.Error);
    }

    public static Outcome FromRefusal(Refusal refusal) => refusal;
}

/// <summary>One refusal and where in a file it arose.</summary>
/// <param name="Where"><c>grid.yaml:3:7</c></param>
public sealed record Problem(Refusal Refusal, string? Where = null);
