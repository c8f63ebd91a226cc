using System.Diagnostics;
using System.Runtime.Versioning;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

/// <summary>The loader of this machine says what it loads; the closure must say the same.</summary>
[SupportedOSPlatform("linux")]
public sealed class ClosureOracle : IDisposable
{
    private static readonly string[] Programs =
    [
        "/bin/true", "/bin/ls", "/bin/bash", "/bin/sh", "/usr/bin/env", "/usr/bin/tar", "/usr/bin/perl", "/usr/bin/python3", "/usr/bin/git", "/usr/bin/ssh",
        "/usr/bin/openssl", "/usr/bin/gcc", "/usr/bin/ld", "/usr/bin/curl", "/usr/bin/xz", "/usr/bin/find", "/usr/bin/apt-get", "/usr/bin/node", "/sbin/ip",
    ];

    private readonly string _directory = Real(Directory.CreateTempSubdirectory("grid-closure-").FullName);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Of_the_machines_own_programs_it_is_what_the_loader_loads()
    {
        RequireLoader();
        var programs = Programs.Where(File.Exists).ToDictionary(p => p, p => Trace(p, []));
        if (programs.Count < 12)
            Assert.Skip($"only {programs.Count} of the programs for the comparison are here");
        var flist = new SmallFlist();
        // All of their libraries in one tree, so that each has more to choose from than it needs.
        foreach (var path in programs.SelectMany(p => p.Value.Found).Concat(programs.Keys).Append(ElfBuilder.GlibcLoader).Append("/etc/ld.so.cache").Append("/etc/ld.so.conf")
            .Concat(Directory.Exists("/etc/ld.so.conf.d") ? Directory.GetFiles("/etc/ld.so.conf.d") : []).Where(File.Exists))
        {
            Take(flist, path);
        }
        foreach (var (program, traced) in programs)
        {
            flist.With(c => c with { Entry = program });
            Assert.Empty(traced.Missing);
            Assert.Equal(traced.Found.Append(program).Append(ElfBuilder.GlibcLoader).Select(Real).Distinct().Order(StringComparer.Ordinal), flist.Complete());
        }
    }

    [Fact]
    public void Of_compiled_programs_it_is_what_the_loader_loads()
    {
        RequireLoader();
        const string Compiler = "/usr/bin/gcc";
        if (!File.Exists(Compiler))
            Assert.Skip("no gcc");
        foreach (var directory in new[] { "bin", "lib", "far" })
            Directory.CreateDirectory($"{_directory}/{directory}");
        File.WriteAllText($"{_directory}/far.c", "int far(void) { return 1; }");
        File.WriteAllText($"{_directory}/near.c", "int far(void); int near(void) { return far(); }");
        File.WriteAllText($"{_directory}/main.c", "int near(void); int main(void) { return near(); }");
        Compile("-shared -fPIC -Wl,-soname,libfar.so.1 -o far/libfar.so.1.0 far.c");
        File.CreateSymbolicLink($"{_directory}/far/libfar.so.1", "libfar.so.1.0");
        Compile("-shared -fPIC -Wl,-soname,libnear.so -o lib/libnear.so near.c far/libfar.so.1.0");
        var paths = "-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../far";
        Compile($"-Wl,--disable-new-dtags {paths} -o bin/inherits main.c lib/libnear.so far/libfar.so.1.0");
        Compile($"-Wl,--enable-new-dtags {paths} -Wl,--no-as-needed -o bin/names main.c lib/libnear.so far/libfar.so.1.0");
        Compile($"-Wl,--enable-new-dtags {paths} -Wl,--as-needed,--allow-shlib-undefined -o bin/forgets main.c lib/libnear.so");
        var flist = MachinesLoader();
        Assert.True(Same(flist, "bin/inherits", []));
        Assert.True(Same(flist, "bin/names", []));
        Assert.False(Same(flist, "bin/forgets", []));
        Assert.True(Same(flist, "bin/forgets", [("LD_LIBRARY_PATH", $"{_directory}/far")]));
        if (TryCompile("-static-pie -o bin/alone far.c -nostartfiles -nodefaultlibs -Wl,-e,far"))
        {
            Take(flist, $"{_directory}/bin/alone");
            flist.With(c => c with { Entry = $"{_directory}/bin/alone" }).Holds($"{_directory}/bin/alone");
        }
    }

    [Fact]
    public void Of_programs_and_libraries_made_up_at_random_it_is_what_the_loader_loads()
    {
        RequireLoader();
        var complete = 0;
        const int Rounds = 150;
        for (var seed = 0; seed < Rounds; seed++)
        {
            var random = new Random(seed);
            var top = $"{_directory}/{seed}";
            string[] directories = ["a", "b", "c", "c/lib64"];
            foreach (var directory in directories)
                Directory.CreateDirectory($"{top}/{directory}");
            string[] names = ["lib0.so", "lib1.so", "lib2.so", "lib3.so", "lib4.so"];
            string? Paths() => random.Next(6) == 0 ? null : string.Join(':', Enumerable.Range(0, random.Next(1, 4)).Select(_ => random.Next(7) switch
            {
                0 => "$ORIGIN",
                1 => "${ORIGIN}/../a",
                2 => $"{top}/b",
                3 => "$ORIGIN/../c",
                4 => $"{top}/c/./",
                5 => "$ORIGIN/../b/../a//",
                _ => "/nowhere",
            }));
            string[] Wants(int most) => [.. names.Where(_ => random.Next(names.Length) < most)];
            ElfBuilder WithPaths(ElfBuilder elf) => random.Next(3) switch
            {
                0 => elf with { Rpath = Paths() },
                1 => elf with { Runpath = Paths() },
                _ => elf with { Rpath = Paths(), Runpath = random.Next(2) == 0 ? Paths() : null },
            };

            foreach (var name in names)
            {
                foreach (var directory in directories.Where(_ => random.Next(4) > 0))
                {
                    var soname = random.Next(4) switch { 0 => null, 1 => names[random.Next(names.Length)], _ => name };
                    var library = WithPaths(ElfBuilder.Library(soname, Wants(2)));
                    Write($"{top}/{directory}/{name}", random.Next(12) == 0 ? library with { Machine = ElfBuilder.Arm64 } : library);
                    if (random.Next(5) == 0)
                    {
                        File.Move($"{top}/{directory}/{name}", $"{top}/b/real-{directory.Replace('/', '-')}-{name}");
                        File.CreateSymbolicLink($"{top}/{directory}/{name}", $"{top}/b/real-{directory.Replace('/', '-')}-{name}");
                    }
                }
            }
            Write($"{top}/a/app", WithPaths(ElfBuilder.Program([.. Wants(3), "lib0.so"])) with { NoDefaultDirectories = random.Next(4) == 0 });
            File.CreateSymbolicLink($"{top}/app", "a/app");
            (string, string)[] environment = random.Next(3) == 0 ? [("LD_LIBRARY_PATH", $"{top}/{directories[random.Next(4)]}:$ORIGIN/../b")] : [];
            complete += Same(MachinesLoader(), $"{seed}/app", environment, seed) ? 1 : 0;
        }
        Assert.InRange(complete, Rounds / 5, Rounds * 4 / 5);
    }

    /// <summary>True when both load all, false when both miss the same; the test fails otherwise.</summary>
    private bool Same(SmallFlist flist, string program, (string Key, string Value)[] environment, int seed = -1)
    {
        var entry = $"{_directory}/{program}";
        foreach (var path in Directory.EnumerateFiles(Path.GetDirectoryName(entry)!.Contains("/bin", StringComparison.Ordinal) ? _directory : Path.GetDirectoryName(entry)!, "*", SearchOption.AllDirectories))
            Take(flist, path);
        var traced = Trace(entry, environment);
        flist.With(c => c with { Entry = entry }).Environment(environment);
        switch (flist.Examine())
        {
            case Examination.Complete complete:
                Assert.True(traced.Missing.Count == 0, $"seed {seed}: the loader misses {string.Join(' ', traced.Missing)}");
                var expected = traced.Found.Append(entry).Append(ElfBuilder.GlibcLoader).Select(Real).Distinct().Order(StringComparer.Ordinal).ToArray();
                Assert.True(expected.SequenceEqual(complete.Files), $"seed {seed}: the loader loads\n{string.Join('\n', expected)}\nthe closure is\n{string.Join('\n', complete.Files)}");
                return true;
            case Examination.Refused refused:
                Assert.All(refused.Refusals, r => Assert.Equal(RefusalCode.LibraryNotDescribed, r.Code));
                var missing = refused.Refusals.Select(r => r.Detail.Split('\'')[3]).Distinct().Order(StringComparer.Ordinal).ToArray();
                Assert.True(missing.SequenceEqual(traced.Missing), $"seed {seed}: the loader misses {string.Join(' ', traced.Missing)}; the closure {string.Join('\n', refused.Refusals)}");
                return false;
            default:
                throw new Xunit.Sdk.XunitException("without a verdict");
        }
    }

    private static SmallFlist MachinesLoader()
    {
        var flist = new SmallFlist();
        foreach (var path in new[] { ElfBuilder.GlibcLoader, "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6" }.Where(File.Exists))
            Take(flist, path);
        return flist;
    }

    /// <summary>Puts a file of this machine into the flist, with every link on the way to it.</summary>
    private static void Take(SmallFlist flist, string path)
    {
        var at = "";
        var left = new Stack<string>(path.Split('/', StringSplitOptions.RemoveEmptyEntries).Reverse());
        while (left.TryPop(out var name))
        {
            if (name is "." or "")
                continue;
            at = name == ".." ? Path.GetDirectoryName(at) ?? "" : $"{at.TrimEnd('/')}/{name}";
            if (name == ".." || new FileInfo(at).LinkTarget is not { } target)
                continue;
            flist.Link(at, target);
            at = target.StartsWith('/') ? "" : Path.GetDirectoryName(at)!;
            foreach (var part in target.Split('/').Reverse())
                left.Push(part);
        }
        if (flist.Entries.All(e => e.Key != at))
            flist.File(at, File.ReadAllBytes(at), (int)File.GetUnixFileMode(at));
    }

    private static string Real(string path)
    {
        var flist = new SmallFlist();
        if (Directory.Exists(path))
            return path;
        Take(flist, path);
        return flist.Entries.Single(e => e.Value.Bytes is not null).Key;
    }

    /// <summary>ld.so(8), LD_TRACE_LOADED_OBJECTS: the loader loads, prints what, and ends before it runs anything.</summary>
    private static (List<string> Found, List<string> Missing) Trace(string program, (string Key, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        start.Environment.Clear();
        foreach (var (key, value) in environment.Append(("LD_TRACE_LOADED_OBJECTS", "1")))
            start.Environment[key] = value;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode is 0 or 127, $"{program} ended with {process.ExitCode}: {text}{errors.Result}");
        var (found, missing) = (new List<string>(), new SortedSet<string>(StringComparer.Ordinal));
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Trim()))
        {
            if (line.EndsWith("=> not found", StringComparison.Ordinal))
                missing.Add(line.Split(' ')[0]);
            else if (line.Split(" => ")[^1].Split(' ')[0] is var path && path.StartsWith('/'))
                found.Add(path);
        }
        return (found, [.. missing]);
    }

    private static void Write(string path, ElfBuilder elf)
    {
        File.WriteAllBytes(path, elf.Build());
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }

    private void Compile(string arguments) => Assert.True(TryCompile(arguments), arguments);

    private bool TryCompile(string arguments)
    {
        var start = new ProcessStartInfo("/usr/bin/gcc", arguments.Split(' ')) { WorkingDirectory = _directory, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    private static void RequireLoader()
    {
        if (!File.Exists(ElfBuilder.GlibcLoader))
            Assert.Skip($"no {ElfBuilder.GlibcLoader}");
    }
}
