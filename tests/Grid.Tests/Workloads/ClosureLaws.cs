using System.Collections.Immutable;
using Grid.Flists;
using Grid.Units;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

public sealed class ClosureLaws
{
    private const string Loader = ElfBuilder.GlibcLoader;

    /// <summary>Scripts, env, two programs, links and configured directories; headers, dynamic sections and names in different chunks.</summary>
    private static SmallFlist Rich() => new SmallFlist()
        .Link("/bin", "usr/bin").Link("/lib64", "usr/lib64")
        .File("/usr/bin/app", "#!/usr/bin/env tool\n")
        .File("/usr/bin/env", ElfBuilder.Program("libc.so.6") with { Gap = 3 * Chunk.Size })
        .File("/opt/bin/tool", "#!/bin/python -u\n")
        .Link("/usr/bin/python", "python3")
        .File("/usr/bin/python3", ElfBuilder.Program("libz.so.1", "libc.so.6", "libown.so") with { Rpath = "$ORIGIN/../own" })
        .File("/usr/own/libown.so", ElfBuilder.Library("libown.so", "libdeep.so", "libz.so.1") with { Gap = Chunk.Size - 500 })
        .File("/usr/own/libdeep.so", ElfBuilder.Library("libdeep.so", "libconf.so") with { Gap = Chunk.Size + 1 })
        .File("/opt/lib/libconf.so.2", ElfBuilder.Library("libconf.so.2"))
        .Link("/opt/lib/libconf.so", "libconf.so.2")
        .File("/etc/ld.so.conf", "include ld.so.conf.d/*.conf\n").File("/etc/ld.so.conf.d/opt.conf", "/opt/lib\n").File("/etc/ld.so.cache", "cache")
        .File("/usr/lib64/libz.so.1", ElfBuilder.Library("libz.so.1"))
        .File("/usr/lib64/libc.so.6", ElfBuilder.Library("libc.so.6", "ld-linux-x86-64.so.2"))
        .File("/usr/lib64/ld-linux-x86-64.so.2", ElfBuilder.Loader())
        .File("/usr/lib64/libunused.so", ElfBuilder.Library("libunused.so"))
        .Environment(("PATH", "/usr/local/bin:/opt/bin"));

    private static readonly Dictionary<string, string> CodeOf = new()
    {
        ["/usr/bin/app"] = RefusalCode.EntryNotDescribed,
        ["/usr/bin/env"] = RefusalCode.InterpreterNotDescribed,
        ["/opt/bin/tool"] = RefusalCode.InterpreterNotDescribed,
        ["/usr/bin/python3"] = RefusalCode.InterpreterNotDescribed,
        ["/usr/lib64/ld-linux-x86-64.so.2"] = RefusalCode.InterpreterNotDescribed,
        ["/usr/lib64/libz.so.1"] = RefusalCode.LibraryNotDescribed,
        ["/usr/lib64/libc.so.6"] = RefusalCode.LibraryNotDescribed,
        ["/usr/own/libown.so"] = RefusalCode.LibraryNotDescribed,
        ["/usr/own/libdeep.so"] = RefusalCode.LibraryNotDescribed,
        ["/opt/lib/libconf.so.2"] = RefusalCode.LibraryNotDescribed,
    };

    [Fact]
    public void No_file_of_the_closure_can_be_left_out()
    {
        Rich().Holds([.. CodeOf.Keys]);
        foreach (var (file, code) in CodeOf)
            Assert.Contains(Assert.IsType<Examination.Refused>(Rich().Without(file).Examine()).Refusals, r => r.Code == code);
    }

    [Fact]
    public void Every_other_file_can_be_left_out()
    {
        string[] wayfinding = ["/dev", "/proc", "/sys", "/bin", "/lib64", "/usr/bin/python", "/opt/lib/libconf.so", "/etc/ld.so.conf", "/etc/ld.so.conf.d/opt.conf", "/etc/ld.so.cache"];
        foreach (var (path, _) in Rich().Entries.Where(e => !CodeOf.ContainsKey(e.Key)))
            Assert.Equal(wayfinding.Contains(path), Rich().Without(path).With(c => c with { Entry = "/usr/bin/app" }).Examine() is Examination.Refused);
    }

    [Fact]
    public void No_directory_of_the_closure_can_be_mounted_over()
    {
        foreach (var directory in CodeOf.Keys.Append("/bin/x").Append("/lib64/x").Select(f => Path.GetDirectoryName(f)!).Distinct())
        {
            var refused = Assert.IsType<Examination.Refused>(Rich().Volume(directory).Examine());
            Assert.Contains(refused.Refusals, r => r.Code == RefusalCode.ExecFromWritable);
        }
    }

    [Fact]
    public void The_verdict_is_the_same_however_the_chunks_come()
    {
        foreach (var flist in new[] { Rich(), Rich().Without("/usr/own/libdeep.so"), Rich().Without("/usr/bin/env").Without("/usr/lib64/libz.so.1") })
        {
            var meta = flist.Build();
            var whole = Closure.Examine(flist.Container, meta, flist.Chunks);
            for (var seed = 0; seed < 60; seed++)
            {
                var random = new Random(seed);
                var given = new Dictionary<Digest, ReadOnlyMemory<byte>>();
                foreach (var (hash, chunk) in flist.Chunks.Where(_ => random.Next(4) == 0))
                    given.Add(hash, chunk);
                var examination = Closure.Examine(flist.Container, meta, given);
                for (var rounds = 0; examination is Examination.Needs needs; rounds++)
                {
                    Assert.InRange(rounds, 0, flist.Chunks.Count);
                    Assert.NotEmpty(needs.Chunks);
                    Assert.DoesNotContain(needs.Chunks, given.ContainsKey);
                    // Sometimes one by one, sometimes all.
                    foreach (var hash in needs.Chunks.Order().Take(random.Next(2) == 0 ? 1 : int.MaxValue))
                        given.Add(hash, flist.Chunks[hash]);
                    examination = Closure.Examine(flist.Container, meta, given);
                }
                AssertSame(whole, examination);
            }
        }
    }

    [Fact]
    public void Only_the_chunks_that_say_something_are_asked_for()
    {
        var flist = Rich();
        var asked = new HashSet<Digest>();
        var meta = flist.Build();
        Assert.IsType<Examination.Complete>(Closure.Examine(flist.Container, meta, hash => asked.Add(hash) ? flist.Chunks[hash] : null));
        var unused = meta.Resolve("/usr/lib64/libunused.so"u8, out _);
        Assert.DoesNotContain(meta.Chunk(unused, 0), asked);
        var wide = meta.Resolve("/usr/bin/env"u8, out _);
        Assert.Equal([true, false, false, true], Enumerable.Range(0, 4).Select(n => asked.Contains(meta.Chunk(wide, n)) && (n is 0 or 3)));
    }

    [Fact]
    public void Every_limit_ends_it_and_none_depends_on_what_was_given_first()
    {
        var limits = ClosureLimits.Default;
        ClosureLimits[] small = [limits with { Chunks = 5 }, limits with { Bytes = 300_000 }, limits with { Files = 4 }, limits with { Depth = 2 }, limits with { Steps = 60 }];
        foreach (var limit in small)
        {
            var flist = Rich();
            var meta = flist.Build();
            var slow = Closure.Examine(flist.Container, meta, hash => flist.Chunks[hash], limit);
            Assert.Equal(RefusalCode.TooLarge, Assert.Single(Assert.IsType<Examination.Refused>(slow).Refusals).Code);
            AssertSame(Closure.Examine(flist.Container, meta, flist.Chunks, limit), slow);
        }
    }

    [Fact]
    public void A_chunk_that_cannot_be_had_leaves_the_flist_incomplete()
    {
        var flist = Rich();
        var refused = Assert.IsType<Examination.Refused>(Closure.Examine(flist.Container, flist.Build(), _ => null));
        Assert.Equal(RefusalCode.FlistIncomplete, Assert.Single(refused.Refusals).Code);
    }

    [Fact]
    public void A_file_whose_size_its_chunks_do_not_have_is_invalid()
    {
        var bytes = new ElfBuilder().Build();
        var root = new DirectoryNode(new Attributes(0b111_101_101, 0, 0, 0, XattrSet.Empty));
        root.Set("app"u8.ToArray(), new FileNode(root.Attributes) { Size = bytes.Length + 1, Chunks = [Chunk.Hash(bytes)] });
        var refused = Assert.IsType<Examination.Refused>(Closure.Examine(
            new SmallFlist().Container with { Entry = "/app" }, MetaFileWriter.Write(root), _ => bytes));
        Assert.Equal(RefusalCode.FlistInvalid, Assert.Single(refused.Refusals).Code);
    }

    [Fact]
    public void No_bytes_of_programs_and_libraries_throw_or_go_on_for_ever()
    {
        byte[][] seeds =
        [
            (ElfBuilder.Program("liba.so", "libb.so") with { Rpath = "$ORIGIN:/opt/$LIB:", Soname = "app" }).Build(),
            (ElfBuilder.Program("liba.so") with { Machine = ElfBuilder.I386, Runpath = "/lib" }).Build(),
            (ElfBuilder.Program("liba.so") with { Gap = Chunk.Size }).Build(),
            ClosureRules.Text("#!/usr/bin/env -S app -x\n"),
        ];
        string[] parts = ["\x7f" + "ELF", "#!", "/bin/app", "/lib/liba.so", "$ORIGIN", "\n", "\0", "\xff\xff\xff\xff", "\0\0\0\0"];
        var verdicts = new Dictionary<string, int>();
        for (var round = 0; round < 5000; round++)
        {
            var random = new Random(round);
            byte[] Mutated()
            {
                var bytes = seeds[random.Next(seeds.Length)].ToList();
                for (var n = random.Next(1, 6); n > 0 && bytes.Count > 0; n--)
                {
                    // Most of it where something is said: in the first and the last bytes.
                    var at = random.Next(3) > 0 ? random.Next(int.Min(bytes.Count, 400)) : int.Max(0, bytes.Count - 1 - random.Next(400));
                    switch (random.Next(5))
                    {
                        case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                        case 1: bytes[at] = (byte)random.Next(256); break;
                        case 2: bytes.RemoveRange(at, int.Min(random.Next(100), bytes.Count - at)); break;
                        case 3: bytes.InsertRange(at, System.Text.Encoding.Latin1.GetBytes(parts[random.Next(parts.Length)])); break;
                        default: bytes.RemoveRange(int.Min(bytes.Count, at), bytes.Count - at); break;
                    }
                }
                return [.. bytes];
            }

            var flist = new SmallFlist().File("/bin/app", Mutated()).File("/lib/liba.so", Mutated()).File("/lib/libb.so", seeds[0])
                .File(Loader, random.Next(4) == 0 ? Mutated() : seeds[0]).File("/usr/bin/env", seeds[2])
                .Environment(("PATH", "/bin"), ("LD_LIBRARY_PATH", "$ORIGIN/../lib::$LIB"));
            var name = flist.Examine() switch
            {
                Examination.Complete => "complete",
                Examination.Refused { Refusals: [var first, ..] } => first.Code,
                var other => throw new Xunit.Sdk.XunitException($"{other} is no verdict"),
            };
            verdicts[name] = verdicts.GetValueOrDefault(name) + 1;
        }
        // The mutations reach what they are for.
        foreach (var expected in new[] { "complete", RefusalCode.EntryNotDescribed, RefusalCode.InterpreterNotDescribed, RefusalCode.LibraryNotDescribed })
            Assert.True(verdicts.GetValueOrDefault(expected) > 100, string.Join(", ", verdicts));
    }

    [Fact]
    public void A_tree_made_to_be_slow_ends_by_the_limits()
    {
        var many = string.Join(':', Enumerable.Range(0, 4000).Select(i => "$ORIGIN/a"));
        var flist = new SmallFlist().File(Loader, ElfBuilder.Loader()).Environment(("LD_LIBRARY_PATH", new string(':', 30_000)))
            .File("/bin/app", ElfBuilder.Program([.. Enumerable.Range(0, 4000).Select(i => $"lib{i}.so")]) with { Rpath = many[..16_000] });
        flist.Refused(RefusalCode.TooLarge);

        var links = new SmallFlist().With(c => c with { Entry = "/l0" });
        for (var i = 0; i < 60; i++)
            links.Link($"/l{i}", $"l{i + 1}/" + string.Concat(Enumerable.Repeat("a/", 2000)));
        links.Refused(RefusalCode.EntryNotDescribed);

        var globs = new SmallFlist().File("/bin/app", ElfBuilder.Program("liba.so")).File(Loader, ElfBuilder.Loader()).File("/etc/ld.so.cache", "")
            .File("/etc/ld.so.conf", string.Concat(Enumerable.Repeat("include /*/*/*/../../../*/*/*/../../../*/*/*\n", 1000)));
        for (var i = 0; i < 30; i++)
            globs.Directory($"/d{i % 6}/{i}/{i}");
        globs.Refused(RefusalCode.TooLarge);
    }

    private static void AssertSame(Examination expected, Examination actual) => Assert.Equal(Say(expected), Say(actual));

    private static ImmutableArray<string> Say(Examination examination) => examination switch
    {
        Examination.Complete complete => complete.Files,
        Examination.Refused refused => [.. refused.Refusals.Select(r => r.ToString())],
        _ => ["without a verdict"],
    };
}
