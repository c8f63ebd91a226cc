using System.Text;
using Grid.Workloads;

namespace Grid.Tests.Workloads;

public sealed class ClosureRules
{
    private const string Loader = ElfBuilder.GlibcLoader;

    /// <summary>A loader and a C library, where a distribution has them.</summary>
    private static SmallFlist Base() => new SmallFlist()
        .File(Loader, ElfBuilder.Loader())
        .File("/lib/x86_64-linux-gnu/libc.so.6", ElfBuilder.Library("libc.so.6", "ld-linux-x86-64.so.2"));

    private static string[] With(params string[] files) => ["/lib/x86_64-linux-gnu/libc.so.6", Loader, .. files];

    [Fact]
    public void A_program_its_loader_and_its_library_are_all_there_is() =>
        Base().File("/bin/app", ElfBuilder.Program("libc.so.6")).Holds(With("/bin/app"));

    [Theory]
    [InlineData(ElfBuilder.X64)]
    [InlineData(ElfBuilder.I386)]
    [InlineData(ElfBuilder.Arm64)]
    public void A_static_program_needs_nobody(ushort machine) =>
        new SmallFlist().File("/bin/app", new ElfBuilder { Machine = machine, Needed = ["liblater.so"] }).Holds("/bin/app");

    [Fact]
    public void Another_machine_is_not_taken() =>
        new SmallFlist().File("/bin/app", new ElfBuilder { Machine = 243 }).Refused(RefusalCode.EntryNotDescribed);

    public static TheoryData<string, SmallFlist> BadEntries => new()
    {
        { "absent", new SmallFlist().Directory("/bin") },
        { "a directory", new SmallFlist().Directory("/bin/app") },
        { "a link to a directory", new SmallFlist().Directory("/usr").Link("/bin/app", "/usr") },
        { "executable by nobody", new SmallFlist().File("/bin/app", new ElfBuilder().Build(), 0b110_100_100) },
        { "empty", new SmallFlist().File("/bin/app", "") },
        { "a text without #!", new SmallFlist().File("/bin/app", "echo hello; exit 0; and so on, longer than a header") },
        { "below a file", new SmallFlist().File("/bin", new ElfBuilder()) },
        { "a link to itself", new SmallFlist().Link("/bin/app", "app") },
        { "links in a ring", new SmallFlist().Link("/bin/app", "/bin/b").Link("/bin/b", "../bin/app") },
        { "a link to nothing", new SmallFlist().Link("/bin/app", "/usr/bin/app") },
        { "under /proc", new SmallFlist().File("/proc/self/exe", new ElfBuilder()).With(c => c with { Entry = "/proc/self/exe" }) },
        { "a link into /dev", new SmallFlist().File("/dev/app", new ElfBuilder()).Link("/bin/app", "/dev/app") },
        { "an interpreter line without a name", new SmallFlist().File("/bin/app", "#!  \n") },
        { "an interpreter line that may be cut off", new SmallFlist().File("/bin/app", "#!/" + new string('a', 300)).File("/" + new string('a', 253), new ElfBuilder()) },
        { "big-endian", new SmallFlist().File("/bin/app", Changed(new ElfBuilder(), 5, 2)) },
        { "a core dump", new SmallFlist().File("/bin/app", Changed(new ElfBuilder(), 16, 4)) },
        { "without segments", new SmallFlist().File("/bin/app", Changed(new ElfBuilder(), 56, 0)) },
        { "cut off", new SmallFlist().File("/bin/app", new ElfBuilder { Needed = ["libc.so.6"] }.Build()[..^60]) },
    };

    [Theory]
    [MemberData(nameof(BadEntries))]
    public void An_entry_that_cannot_be_executed_is_not_described(string what, SmallFlist flist)
    {
        Assert.NotEmpty(what);
        flist.Refused(RefusalCode.EntryNotDescribed);
    }

    [Fact]
    public void Links_are_followed_inside_the_root_and_never_out_of_it() => new SmallFlist()
        .Link("/bin", "../../../usr/bin").Link("/usr/bin/app", "/../../opt/./v1/../v2/app").Directory("/opt/v1").File("/opt/v2/app", new ElfBuilder()).Holds("/opt/v2/app");

    [Theory]
    [InlineData("/bin")]
    [InlineData("/bin/app")]
    [InlineData("/usr")]
    [InlineData("/usr/lib/real")]
    [InlineData("/way")]
    public void An_entry_in_or_through_a_writable_place_is_refused(string mount)
    {
        SmallFlist Flist() => new SmallFlist().Link("/bin/app", "/way/round/app").Link("/way/round", "../usr/lib").Link("/usr/lib/app", "real/app")
            .File("/usr/lib/real/app", new ElfBuilder());
        Flist().Holds("/usr/lib/real/app");
        Flist().Volume(mount).Refused(RefusalCode.ExecFromWritable);
        Flist().Scratch(mount).Refused(RefusalCode.ExecFromWritable);
    }

    [Fact]
    public void A_link_through_a_writable_place_is_refused_even_if_it_leads_out_again() => new SmallFlist()
        .Link("/bin/app", "/tmp/../opt/app").File("/opt/app", new ElfBuilder()).Directory("/tmp").Scratch("/tmp").Refused(RefusalCode.ExecFromWritable);

    [Fact]
    public void A_mount_is_where_its_links_lead() => new SmallFlist()
        .Link("/var/run", "/run").File("/run/app/app", new ElfBuilder()).Link("/bin/app", "/run/app/app").Volume("/var/run/app").Refused(RefusalCode.ExecFromWritable);

    [Fact]
    public void A_mount_beside_the_closure_is_no_matter() =>
        new SmallFlist().File("/bin/app", new ElfBuilder()).Directory("/bin/app.d").Volume("/bin/app.d").Holds("/bin/app");

    [Fact]
    public void A_mount_over_a_library_is_refused() => Base().File("/bin/app", ElfBuilder.Program("libc.so.6")).Volume("/lib/x86_64-linux-gnu")
        .Refused(RefusalCode.ExecFromWritable);

    [Fact]
    public void A_loader_in_a_writable_place_is_refused() =>
        Base().File("/bin/app", ElfBuilder.Program("libc.so.6")).Scratch("/lib64").Refused(RefusalCode.ExecFromWritable);

    [Fact]
    public void A_missing_loader_is_refused_by_name()
    {
        var refusal = Base().Without(Loader).File("/bin/app", ElfBuilder.Program("libc.so.6")).Refused(RefusalCode.InterpreterNotDescribed);
        Assert.Contains(Loader, refusal.Detail, StringComparison.Ordinal);
    }

    public static TheoryData<string, SmallFlist> BadLoaders => new()
    {
        { "not executable", Base().File(Loader, ElfBuilder.Loader().Build(), 0b110_100_100) },
        { "a script", Base().File(Loader, "#!/bin/sh\n" + new string(' ', 100)) },
        { "for another machine", Base().File(Loader, ElfBuilder.Loader() with { Machine = ElfBuilder.Arm64 }) },
        { "a directory", Base().Without(Loader).Directory(Loader) },
        { "relative", Base().File("/bin/app", ElfBuilder.Program() with { Interpreter = "lib64/ld-linux-x86-64.so.2" }) },
    };

    [Theory]
    [MemberData(nameof(BadLoaders))]
    public void A_loader_that_cannot_be_executed_is_not_described(string what, SmallFlist flist)
    {
        Assert.NotEmpty(what);
        if (flist.Entries.All(e => e.Key != "/bin/app"))
            flist.File("/bin/app", ElfBuilder.Program("libc.so.6"));
        flist.Refused(RefusalCode.InterpreterNotDescribed);
    }

    [Fact]
    public void A_missing_library_is_named_with_whom_it_is_missing_to()
    {
        var refusal = Base().File("/bin/app", ElfBuilder.Program("libc.so.6", "liba.so"))
            .File("/usr/lib/liba.so", ElfBuilder.Library("liba.so", "libgone.so.3")).Refused(RefusalCode.LibraryNotDescribed);
        Assert.Equal("'/usr/lib/liba.so' wants the library 'libgone.so.3', which the flist does not hold where its loader looks.", refusal.Detail);
    }

    [Fact]
    public void All_missing_libraries_are_told_at_once()
    {
        var flist = Base().File("/bin/app", ElfBuilder.Program("libx.so", "liby.so", "libc.so.6"));
        Assert.Equal(2, Assert.IsType<Examination.Refused>(flist.Examine()).Refusals.Length);
    }

    [Fact]
    public void Libraries_that_want_one_another_are_loaded_once() => Base().File("/bin/app", ElfBuilder.Program("liba.so"))
        .File("/lib/liba.so", ElfBuilder.Library("liba.so", "libb.so")).File("/lib/libb.so", ElfBuilder.Library(null, "liba.so", "libb.so"))
        .Without("/lib/x86_64-linux-gnu/libc.so.6").Holds(Loader, "/bin/app", "/lib/liba.so", "/lib/libb.so");

    [Fact]
    public void A_library_for_another_machine_is_passed_by() => Base().File("/bin/app", ElfBuilder.Program("liba.so"))
        .File("/lib/x86_64-linux-gnu/liba.so", new ElfBuilder { Machine = ElfBuilder.I386 }).File("/usr/lib/liba.so", ElfBuilder.Library("liba.so"))
        .Holds(Loader, "/bin/app", "/usr/lib/liba.so");

    [Fact]
    public void A_library_that_is_no_ELF_file_is_refused() => Base().File("/bin/app", ElfBuilder.Program("liba.so"))
        .File("/usr/lib/liba.so", "INPUT(liba.so.1) and more text, so that it is not merely too short").Refused(RefusalCode.LibraryNotDescribed);

    [Fact]
    public void A_library_only_in_a_writable_place_is_refused_as_that() => Base().File("/bin/app", ElfBuilder.Program("liba.so") with { Runpath = "/data/lib" })
        .File("/data/lib/liba.so", ElfBuilder.Library("liba.so")).Volume("/data").Refused(RefusalCode.ExecFromWritable);

    [Fact]
    public void A_mount_on_a_directory_that_the_flist_lacks_covers_all_the_same() =>
        Base().File("/bin/app", ElfBuilder.Program("liba.so") with { Runpath = "/data/x/../lib" }).Volume("/data").Refused(RefusalCode.ExecFromWritable);

    [Fact]
    public void LD_LIBRARY_PATH_counts_and_may_not_be_writable()
    {
        SmallFlist Flist() => Base().File("/bin/app", ElfBuilder.Program("liba.so")).File("/opt/lib/liba.so", ElfBuilder.Library(null));
        Flist().Refused(RefusalCode.LibraryNotDescribed);
        Flist().Environment(("LD_LIBRARY_PATH", "/nowhere;/opt/lib")).Holds(Loader, "/bin/app", "/opt/lib/liba.so");
        Flist().Environment(("LD_LIBRARY_PATH", "/opt/lib:/data/lib")).Volume("/data").Refused(RefusalCode.ExecFromWritable);
        Flist().Environment(("LD_LIBRARY_PATH", "/opt/lib:")).With(c => c with { WorkDir = "/tmp" }).Scratch("/tmp").Refused(RefusalCode.ExecFromWritable);
    }

    [Fact]
    public void Configured_directories_count_when_there_is_a_cache()
    {
        SmallFlist Flist() => Base().File("/bin/app", ElfBuilder.Program("liba.so", "libb.so", "libd.so"))
            .File("/opt/a/liba.so", ElfBuilder.Library(null)).File("/opt/b/libb.so", ElfBuilder.Library(null)).File("/opt/d/libd.so", ElfBuilder.Library(null))
            .File("/etc/ld.so.conf", "# none\n  include ld.so.conf.d/*.conf # all\nhwcap 1 nosegneg\n/opt/d\n", 0b110_100_100)
            .File("/etc/ld.so.conf.d/a1.conf", "/opt/a\n", 0b110_100_100)
            .File("/etc/ld.so.conf.d/b.conf", "include /etc/more/[!a-c]?.list\ninclude /etc/ld.so.conf\n", 0b110_100_100)
            .File("/etc/more/d0.list", "\t/opt/b", 0b110_100_100).File("/etc/more/a0.list", "/wrong", 0b110_100_100)
            .File("/etc/ld.so.conf.d/.hidden.conf", "/wrong", 0b110_100_100);
        Flist().File("/etc/ld.so.cache", "").Holds(Loader, "/bin/app", "/opt/a/liba.so", "/opt/b/libb.so", "/opt/d/libd.so");
        Assert.Equal(3, Assert.IsType<Examination.Refused>(Flist().Examine()).Refusals.Length);
    }

    [Fact]
    public void Musl_has_rules_of_its_own()
    {
        const string Musl = "/lib/ld-musl-x86_64.so.1";
        SmallFlist Flist() => new SmallFlist().File(Musl, ElfBuilder.Library(null, "not-read"))
            .File("/bin/app", ElfBuilder.Program("libc.musl-x86_64.so.1", "libm.so", "liba.so") with { Interpreter = Musl, Runpath = "$ORIGIN/../opt" })
            .File("/opt/liba.so", ElfBuilder.Library("other-name", "libb.so"));
        Flist().File("/usr/local/lib/libb.so", ElfBuilder.Library(null)).Holds(Musl, "/bin/app", "/opt/liba.so", "/usr/local/lib/libb.so");
        // DT_RUNPATH is inherited; glibc would not look there.
        Flist().File("/opt/libb.so", ElfBuilder.Library(null)).Holds(Musl, "/bin/app", "/opt/liba.so", "/opt/libb.so");
        Flist().File("/srv/libb.so", ElfBuilder.Library(null)).File("/etc/ld-musl-x86_64.path", "/lib\n/srv\n").Holds(Musl, "/bin/app", "/opt/liba.so", "/srv/libb.so");
        Flist().File("/usr/lib/libb.so", ElfBuilder.Library(null)).File("/etc/ld-musl-x86_64.path", "/lib:/srv").Refused(RefusalCode.LibraryNotDescribed);
        // The first file of the name is taken, whatever it is for.
        Flist().File("/lib/libb.so", new ElfBuilder { Machine = ElfBuilder.I386 }).File("/usr/lib/libb.so", ElfBuilder.Library(null)).Refused(RefusalCode.LibraryNotDescribed);
    }

    [Theory]
    [InlineData(ElfBuilder.X64, "/opt/lib64")]
    [InlineData(ElfBuilder.X64, "/opt/lib/x86_64-linux-gnu")]
    [InlineData(ElfBuilder.Arm64, "/opt/lib/aarch64-linux-gnu")]
    [InlineData(ElfBuilder.I386, "/opt/lib")]
    public void Tokens_stand_for_directories(ushort machine, string directory)
    {
        var flist = new SmallFlist().File("/ld.so", new ElfBuilder { Machine = machine })
            .File("/bin/app", new ElfBuilder { Machine = machine, Interpreter = "/ld.so", Needed = ["liba.so"], Rpath = "$ORIGINAL:${ORIGIN}/../opt/$LIB/$X" })
            .File($"{directory}/$X/liba.so", new ElfBuilder { Machine = machine });
        flist.Holds("/ld.so", "/bin/app", $"{directory}/$X/liba.so");
    }

    [Fact]
    public void A_script_is_followed_to_its_program() => new SmallFlist().File("/bin/app", "#! /bin/sh -e  \necho").Link("/bin/sh", "busybox")
        .File("/bin/busybox", new ElfBuilder()).Holds("/bin/app", "/bin/busybox");

    [Fact]
    public void A_script_without_an_end_of_line_is_a_script() =>
        new SmallFlist().File("/bin/app", "#!/bin/sh").File("/bin/sh", new ElfBuilder()).Holds("/bin/app", "/bin/sh");

    [Fact]
    public void A_scripts_interpreter_must_be_described()
    {
        new SmallFlist().File("/bin/app", "#!/bin/sh\n").Refused(RefusalCode.InterpreterNotDescribed);
        new SmallFlist().File("/bin/app", "#!sh\n").File("/sh", new ElfBuilder()).Refused(RefusalCode.InterpreterNotDescribed);
        new SmallFlist().File("/bin/app", "#!/bin/sh\n").File("/bin/sh", new ElfBuilder().Build(), 0b110_100_100).Refused(RefusalCode.InterpreterNotDescribed);
        new SmallFlist().File("/bin/app", "#!/tmp/sh\n").File("/tmp/sh", new ElfBuilder()).Scratch("/tmp").Refused(RefusalCode.ExecFromWritable);
    }

    [Fact]
    public void Scripts_may_run_scripts_four_deep()
    {
        SmallFlist Flist(int scripts)
        {
            var flist = new SmallFlist().File($"/s{scripts}", new ElfBuilder()).With(c => c with { Entry = "/s0" });
            for (var i = 0; i < scripts; i++)
                flist.File($"/s{i}", $"#!/s{i + 1}\n");
            return flist;
        }

        Flist(4).Holds("/s0", "/s1", "/s2", "/s3", "/s4");
        Flist(5).Refused(RefusalCode.InterpreterNotDescribed);
        new SmallFlist().File("/bin/app", "#!/bin/app\n").Refused(RefusalCode.InterpreterNotDescribed);
    }

    [Fact]
    public void What_env_runs_is_looked_up_and_described()
    {
        SmallFlist Flist(string line) => new SmallFlist().File("/bin/app", $"#!/usr/bin/env {line}\n").File("/usr/bin/env", new ElfBuilder())
            .File("/opt/bin/tool", "#!/usr/bin/real\n").File("/usr/bin/real", new ElfBuilder { Gap = 7 }).File("/usr/bin/tool", "not executable", 0b110_100_100);
        string[] all = ["/bin/app", "/usr/bin/env", "/opt/bin/tool", "/usr/bin/real"];
        Flist("tool").Environment(("PATH", "/nowhere:/usr/bin:/opt/bin")).Holds(all);
        Flist("-S tool -u").Environment(("PATH", "/opt/bin")).Holds(all);
        Flist("tool").Environment(("PATH", "/usr:")).With(c => c with { WorkDir = "/opt/bin" }).Holds(all);
        Flist("/opt/bin/tool").Holds(all);
        Flist("tool").Refused(RefusalCode.InterpreterNotDescribed);
        Flist("tool").Environment(("PATH", "/usr/bin")).Refused(RefusalCode.InterpreterNotDescribed);
        Flist("tool").Environment(("PATH", "/tmp/bin:/opt/bin")).Scratch("/tmp").Refused(RefusalCode.ExecFromWritable);
        foreach (var unclear in new[] { "", "tool -u", "-i tool", "A=1 tool", "-S $tool", "-S A=1 tool", "-S", "-S 'tool'" })
            Flist(unclear).Environment(("PATH", "/opt/bin")).Refused(RefusalCode.InterpreterNotDescribed);
    }

    [Fact]
    public void Names_that_are_no_text_are_shown_escaped()
    {
        var refusal = Base().File("/bin/app", ElfBuilder.Program("lib\u00ff\u001b.so")).Refused(RefusalCode.LibraryNotDescribed);
        Assert.Contains(@"'lib\xff\x1b.so'", refusal.Detail, StringComparison.Ordinal);
        new SmallFlist().File("/bin/größe", new ElfBuilder()).With(c => c with { Entry = "/bin/größe" }).Holds("/bin/größe");
    }

    internal static byte[] Changed(ElfBuilder elf, int at, byte value)
    {
        var bytes = elf.Build();
        bytes[at] = value;
        return bytes;
    }

    internal static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);
}
