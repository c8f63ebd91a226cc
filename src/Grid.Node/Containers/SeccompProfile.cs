using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Grid.Node.Containers;

/// <summary>
/// The system calls a container may make: an allow-list in the style of the field's default profile, without what could make code out of
/// undescribed bytes or reach beyond the container. What is refused by name fails with EPERM; everything else, the calls of later
/// kernels included, fails with ENOSYS, for which programs have a fallback.
/// </summary>
internal static class SeccompProfile
{
    private const int EPERM = 1, ENOSYS = 38;

    // clone(2) flags that make a namespace: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
    private const uint NewNamespaces = 0x7E02_0000;

    // memfd_create(2): a sealed memfd can be neither executed nor made executable.
    private const uint MFD_NOEXEC_SEAL = 0x8;

    // Unix, IPv4, IPv6 and netlink (which getifaddrs needs).
    private static readonly ImmutableArray<uint> AddressFamilies = [1, 2, 10, 16];

    // personality(2): Linux, Linux 32 bit, with UNAME26, and the query. READ_IMPLIES_EXEC is not among them.
    private static readonly ImmutableArray<uint> Personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];

    private static readonly ImmutableArray<string> Allowed =
    [
        .. """
        accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime clock_nanosleep
        close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
        epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat
        fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex
        futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid
        getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid
        getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
        io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
        lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier mincore mkdir mkdirat mknod
        mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget
        msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
        pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead
        readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
        set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
        setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat
        statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
        timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork
        vmsplice wait4 waitid write writev
        """.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries),
    ];

    // Named so that a program is told "not permitted" and does not try an older way around.
    private static readonly ImmutableArray<string> Refused =
    [
        .. """
        acct add_key bpf chroot clock_adjtime clock_settime delete_module fanotify_init fanotify_mark finit_module fsconfig fsmount fsopen fspick
        init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind
        memfd_secret migrate_pages modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
        perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot request_key
        set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon syslog umount2 unshare uselib userfaultfd
        vhangup
        """.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries),
    ];

    public static void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject("seccomp");
        json.WriteString("defaultAction", "SCMP_ACT_ERRNO");
        json.WriteNumber("defaultErrnoRet", ENOSYS);
        // One architecture: a 32-bit or x32 call ends the process that makes it.
        json.WriteStartArray("architectures");
        json.WriteStringValue(RuntimeInformation.ProcessArchitecture is Architecture.Arm64 ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64");
        json.WriteEndArray();
        json.WriteStartArray("syscalls");
        Rule(json, Allowed, null);
        Rule(json, Refused, EPERM);
        // The flags of clone3 lie in memory, where a filter cannot see them; ENOSYS makes the C library use clone.
        Rule(json, ["clone3"], ENOSYS);
        Rule(json, ["clone"], null, (0, NewNamespaces, 0));
        Rule(json, ["memfd_create"], null, (1, MFD_NOEXEC_SEAL, MFD_NOEXEC_SEAL));
        foreach (var family in AddressFamilies)
            Rule(json, ["socket"], null, (0, uint.MaxValue, family));
        foreach (var personality in Personalities)
            Rule(json, ["personality"], null, (0, uint.MaxValue, personality));
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <param name="errno">null allows</param>
    /// <param name="argument">the call matches when the argument, masked, is the value; the kernel reads all of these as 32 bits</param>
    private static void Rule(Utf8JsonWriter json, ImmutableArray<string> names, int? errno, (int Index, uint Mask, uint Value)? argument = null)
    {
        json.WriteStartObject();
        json.WriteStartArray("names");
        foreach (var name in names)
            json.WriteStringValue(name);
        json.WriteEndArray();
        json.WriteString("action", errno is null ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO");
        if (errno is { } number)
            json.WriteNumber("errnoRet", number);
        if (argument is var (index, mask, value))
        {
            json.WriteStartArray("args");
            json.WriteStartObject();
            json.WriteNumber("index", index);
            json.WriteNumber("value", mask);
            json.WriteNumber("valueTwo", value);
            json.WriteString("op", "SCMP_CMP_MASKED_EQ");
            json.WriteEndObject();
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }
}
