using Grid.Flists;

namespace Grid.Workloads;

/// <summary>Follows what execve(2) does with the entry: through the scripts to the programs, and from each program to its libraries.</summary>
internal sealed class Execution(Container container, ContainerRoot root, Evidence evidence, RefusalSet refusals, ISet<string> files)
{
    // fs/exec.c, exec_binprm: "This allows 4 levels of binfmt rewrites before failing hard."
    private const int MostScripts = 4;

    private readonly Images _images = new(evidence);
    private readonly LoaderConfiguration _configuration = new(root, evidence);

    public void Run() => Execute(RawPath.Of(container.Entry), "the entry", RefusalCode.EntryNotDescribed, 0);

    private void Execute(string path, string role, string code, int scripts)
    {
        if (Executable(path, role, code) is not { } file)
            return;
        var (name, size) = (RawPath.Show(file.Path), evidence.Meta[file.Inode].Size);
        if (!evidence.TryRead(file.Inode, 0, (int)long.Min(size, ScriptLine.Head), out var head))
            return;
        if (!ScriptLine.IsScript(head.Span))
            Load(file, code);
        else if (ScriptLine.Parse(head.Span) is not { } line)
            refusals.Add(code, $"The first line of '{name}' names no interpreter that Linux would read in its first {ScriptLine.Head} bytes.");
        else if (scripts == MostScripts)
            refusals.Add(RefusalCode.InterpreterNotDescribed, $"'{name}' is the script of a script, more than {MostScripts} deep; Linux ends there.");
        else if (!line.Interpreter.StartsWith('/'))
            refusals.Add(RefusalCode.InterpreterNotDescribed, $"The interpreter '{RawPath.Show(line.Interpreter)}' of '{name}' is not an absolute path.");
        else
            Interpret(line, name, scripts + 1);
    }

    private void Interpret(ScriptLine line, string script, int scripts)
    {
        const string Code = RefusalCode.InterpreterNotDescribed;
        Execute(line.Interpreter, $"the interpreter of '{script}'", Code, scripts);
        // env runs something else at once: what that is can be known, so it is part of the description.
        if (RawPath.Base(line.Interpreter) != "env")
            return;
        if (line.ProgramOfEnv() is not { } program)
            refusals.Add(Code, $"What '{script}' lets env run cannot be told from '{RawPath.Show(line.Argument ?? "")}'.", "Name it after #! itself.");
        else if (program.Contains('/'))
            Execute(program, $"the interpreter of '{script}'", Code, scripts);
        else if (Variable("PATH") is not { } paths)
            refusals.Add(Code, $"'{script}' lets env look for '{RawPath.Show(program)}' without a PATH.", "Add PATH to the workload's environment.");
        else if (FindInPath(program, paths) is not { } found)
            refusals.Add(Code, $"'{script}' lets env look for '{RawPath.Show(program)}', which is in no directory of PATH.", "Add it to the flist.");
        else
            Execute(found, $"the interpreter of '{script}'", Code, scripts);
    }

    /// <summary>As execvp(3) looks: the first that may be executed. A directory that is mounted over is not passed by.</summary>
    private string? FindInPath(string program, string paths)
    {
        foreach (var directory in paths.Split(':'))
        {
            // An empty directory is the working directory.
            var path = directory.Length == 0 ? program : $"{directory}/{program}";
            var place = root.Find(path);
            if (place.Reach == Reach.Writable || (place.Reach == Reach.Found && IsExecutable(place.Inode)))
                return path;
        }
        return null;
    }

    private void Load(Place file, string code)
    {
        var name = RawPath.Show(file.Path);
        if (!evidence.Load(0) || _images.Read(file, code, refusals) is not { } image)
            return;
        if (!image.Kind.IsKnown)
        {
            refusals.Add(code, $"'{name}' is for machine {image.Kind.Machine} of the ELF registry; Grid knows x86-64, i386 and AArch64.");
            return;
        }
        // Without an interpreter nobody reads what the file wants; it is linked statically, or it is a loader itself.
        var interpreter = image.Interpreter is { } segment ? Interpreter(file, segment, image, code) : null;
        var search = new LibrarySearch(image.Kind, RawPath.Directory(file.Path), Variable("LD_LIBRARY_PATH"), interpreter?.Path ?? "", _configuration);
        foreach (var directory in search.FromEnvironment)
        {
            if (root.Find(directory).Reach == Reach.Writable)
            {
                refusals.Add(
                    RefusalCode.ExecFromWritable, $"LD_LIBRARY_PATH of '{container.Name}' names '{RawPath.Show(directory)}', which is writable.",
                    "Keep libraries in the flist.");
            }
        }
        if (interpreter is var (path, place, loader))
            new Libraries(root, evidence, _images, search, refusals, files).Load(file, image, path, place, loader);
    }

    private (string Path, Place Place, ElfImage Image)? Interpreter(Place file, ElfSegment segment, ElfImage image, string code)
    {
        var name = RawPath.Show(file.Path);
        if (Images.Try(() => ElfImage.ReadInterpreter(evidence, file.Inode, segment), name, code, refusals) is not { } path)
            return null;
        if (!path.StartsWith('/'))
        {
            refusals.Add(RefusalCode.InterpreterNotDescribed, $"The interpreter '{RawPath.Show(path)}' of '{name}' is not an absolute path.");
            return null;
        }
        if (Executable(path, $"the interpreter of '{name}'", RefusalCode.InterpreterNotDescribed) is not { } place
            || !evidence.Load(0) || _images.Read(place, RefusalCode.InterpreterNotDescribed, refusals) is not { } loader)
        {
            return null;
        }
        if (loader.Kind == image.Kind)
            return (path, place, loader);
        refusals.Add(RefusalCode.InterpreterNotDescribed, $"The interpreter '{RawPath.Show(path)}' of '{name}' is for another machine.");
        return null;
    }

    /// <summary>A regular file of the flist that somebody may execute, nowhere under a mount; refused with the reason otherwise.</summary>
    private Place? Executable(string path, string role, string code)
    {
        var (place, shown) = (root.Find(path), RawPath.Show(path));
        switch (place.Reach)
        {
            case Reach.Writable:
                refusals.Add(
                    RefusalCode.ExecFromWritable,
                    $"{Capital(role)} '{shown}' leads into a volume or scratch of '{container.Name}', at '{RawPath.Show(place.Path)}'.");
                return null;
            case Reach.Covered:
                refusals.Add(code, $"{Capital(role)} '{shown}' leads to '{RawPath.Show(place.Path)}', where every container has what its node puts there.");
                return null;
            case Reach.Absent:
                refusals.Add(code, $"{Capital(role)} '{shown}' is not in the flist.");
                return null;
        }
        if (evidence.Meta[place.Inode].Type != EntryType.File)
            refusals.Add(code, $"{Capital(role)} '{shown}' is not a regular file.");
        else if (!IsExecutable(place.Inode))
            refusals.Add(code, $"{Capital(role)} '{shown}' may be executed by nobody (mode {Convert.ToString(evidence.Meta[place.Inode].Mode, 8)}).");
        else
            return Describe(place);
        return null;
    }

    private Place Describe(Place place)
    {
        files.Add(place.Path);
        return place;
    }

    private bool IsExecutable(int inode) => evidence.Meta[inode] is { Type: EntryType.File } file && (file.Mode & 0b001_001_001) != 0;

    private string? Variable(string name) => container.Environment.Where(v => v.Key == name).Select(v => RawPath.Of(v.Value)).FirstOrDefault();

    private static string Capital(string text) => $"{char.ToUpperInvariant(text[0])}{text[1..]}";
}

/// <summary>ELF files as read, each once in a pass.</summary>
internal sealed class Images(Evidence evidence)
{
    private readonly Dictionary<int, ElfImage> _read = [];

    /// <summary>Null while bytes are missing, or when it is refused.</summary>
    public ElfImage? Read(Place file, string code, RefusalSet refusals)
    {
        if (_read.TryGetValue(file.Inode, out var known))
            return known;
        var image = Try(() => ElfImage.Read(evidence, file.Inode), RawPath.Show(file.Path), code, refusals);
        if (image is not null)
            _read.Add(file.Inode, image);
        return image;
    }

    public static T? Try<T>(Func<T?> read, string name, string code, RefusalSet refusals)
    {
        try
        {
            return read();
        }
        catch (ElfFormatException e)
        {
            refusals.Add(code, $"'{name}' cannot be loaded: {e.Message}.");
            return default;
        }
    }
}
