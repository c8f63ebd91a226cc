using System.ComponentModel;
using Grid.Node.Volumes;

namespace Grid.Node;

/// <summary><c>grid-node mended</c>: the farmer has seen to a data disk that erred. The agent, at work or not, sees it at its next look.</summary>
internal static class MendedProgram
{
    public const string Verb = "mended";

    public const string Usage = """
        grid-node mended DIR

        Takes back what the node has noted of errors of the disk below a data directory, so that volumes
        come to lie there again. A disk that still errs is noted again. What its file system itself has
        counted stays until that is checked (e2fsck).

          DIR                   where volumes lie, as --disk says; DATA/volumes without it (needed)
        """;

    /// <param name="arguments">without the verb</param>
    /// <exception cref="NodeException"/>
    public static int Run(IReadOnlyList<string> arguments)
    {
        if (arguments is not [{ Length: > 0 } directory])
        {
            Console.Error.WriteLine(new Refusal(NodeCode.Usage, $"{Verb} takes one directory and nothing else.", $"'grid-node {Verb} --help' says which.").From("grid-node"));
            return 2;
        }
        try
        {
            Console.WriteLine(OpenDisk.Forget(directory) is { } noted ? $"taken back: {noted}" : "nothing was noted");
            return 0;
        }
        catch (Win32Exception e)
        {
            throw new NodeException(NodeCode.DirectoryUnusable, $"Of {directory} nothing can be taken back: {e.Message}", "Name a directory of --disk, as root.");
        }
    }
}
