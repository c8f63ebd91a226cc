// What runs inside the containers of these tests: one word says what to do. Attacks print "PWNED" when they succeed and "blocked: why" when not.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <linux/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef PAYLOAD
__attribute__((constructor)) static void payload(void) { write(1, "PWNED\n", 6); }
#else

extern char **environ;

static int blocked(const char *step) { printf("blocked: %s: %s\n", step, strerror(errno)); return 0; }
static int pwned(void) { printf("PWNED\n"); return 0; }
static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static void on_term(int signal) { _exit(7); }

static int copy(const char *from, const char *to) {
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755), n;
    static char buffer[1 << 16];
    if (in < 0 || out < 0) return -1;
    while ((n = read(in, buffer, sizeof buffer)) > 0) if (write(out, buffer, n) != n) return -1;
    close(in); close(out);
    return chmod(to, 0755);
}

static int run(const char *path, char *const argv[], char *const envp[]) {
    int pid = fork(), status;
    if (pid == 0) { execve(path, argv, envp); blocked("execve"); fflush(stdout); _exit(99); }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_fd(int fd) {
    int pid = fork(), status;
    char *argv[] = {"x", "say", "PWNED", "", 0};
    if (pid == 0) { fexecve(fd, argv, environ); blocked("fexecve"); fflush(stdout); _exit(99); }
    waitpid(pid, &status, 0);
    return 0;
}

static int dropped_in(const char *path) {
    char *argv[] = {"x", "say", "PWNED", "", 0};
    if (copy("/bin/probe", path) < 0) return blocked("copy");
    run(path, argv, environ);
    return 0;
}

static int fill(int fd) {
    int in = open("/bin/probe", O_RDONLY), n;
    static char buffer[1 << 16];
    while ((n = read(in, buffer, sizeof buffer)) > 0) if (write(fd, buffer, n) != n) return -1;
    close(in);
    return 0;
}

static int memfd(unsigned flags) {
    int fd = syscall(SYS_memfd_create, "x", flags);
    if (fd < 0) return blocked("memfd_create");
    if (fill(fd) < 0) return blocked("write");
    return run_fd(fd);
}

static int child_of_clone(void *arg) { return 0; }

static int attack(const char *name) {
    static char stack[65536];
    if (is(name, "dropped-elf")) return dropped_in("/scratch/x");
    if (is(name, "shm-elf")) return dropped_in("/dev/shm/x");
    if (is(name, "dev-elf")) return dropped_in("/dev/x");
    if (is(name, "volume-elf")) return dropped_in("/data/x");
    if (is(name, "root-elf")) return dropped_in("/bin/x");
    if (is(name, "script")) {
        int fd = open("/scratch/s", O_WRONLY | O_CREAT, 0755);
        char *argv[] = {"s", 0};
        if (write(fd, "#!/bin/probe pwned\n", 19) != 19) return blocked("write");
        close(fd);
        run("/scratch/s", argv, environ);
        return 0;
    }
    if (is(name, "loader")) {
        char *argv[] = {"ld.so", "/scratch/d", "say", "PWNED", "", 0};
        if (copy("/bin/dynamic", "/scratch/d") < 0) return blocked("copy");
        return printf("loader ended with %d\n", run("/lib64/ld-linux-x86-64.so.2", argv, environ)), 0;
    }
    if (is(name, "preload")) {
        char *argv[] = {"dynamic", "say", "fine", "", 0}, *envp[] = {"LD_PRELOAD=/scratch/p.so", 0};
        if (copy("/bin/payload.so", "/scratch/p.so") < 0) return blocked("copy");
        return run("/bin/dynamic", argv, envp), 0;
    }
    if (is(name, "preload-described")) {
        char *argv[] = {"dynamic", "say", "fine", "", 0}, *envp[] = {"LD_PRELOAD=/bin/payload.so", 0};
        return run("/bin/dynamic", argv, envp), 0;
    }
    if (is(name, "map-exec")) {
        if (copy("/bin/probe", "/scratch/m") < 0) return blocked("copy");
        int fd = open("/scratch/m", O_RDONLY);
        return mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? blocked("mmap") : pwned();
    }
    if (is(name, "map-then-exec")) {
        if (copy("/bin/probe", "/scratch/m") < 0) return blocked("copy");
        int fd = open("/scratch/m", O_RDONLY);
        void *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        return mprotect(p, 4096, PROT_READ | PROT_EXEC) != 0 ? blocked("mprotect") : pwned();
    }
    if (is(name, "memfd")) return memfd(0);
    if (is(name, "memfd-exec")) return memfd(0x10 /* MFD_EXEC */);
    if (is(name, "memfd-sealed")) return memfd(0x8 /* MFD_NOEXEC_SEAL */);
    if (is(name, "memfd-chmod")) {
        int fd = syscall(SYS_memfd_create, "x", 0x8);
        if (fd < 0) return blocked("memfd_create");
        if (fchmod(fd, 0755) != 0) return blocked("fchmod");
        return fill(fd), run_fd(fd);
    }
    if (is(name, "memfd-secret")) return syscall(447, 0) < 0 ? blocked("memfd_secret") : pwned();
    if (is(name, "tmpfile")) {
        int fd = open("/scratch", O_TMPFILE | O_RDWR, 0755);
        if (fd < 0) return blocked("O_TMPFILE");
        fill(fd);
        char path[64];
        sprintf(path, "/proc/self/fd/%d", fd);
        int again = open(path, O_RDONLY);
        close(fd);
        return run_fd(again);
    }
    if (is(name, "userns")) return unshare(CLONE_NEWUSER) < 0 ? blocked("unshare") : pwned();
    if (is(name, "mntns")) return unshare(CLONE_NEWNS) < 0 ? blocked("unshare") : pwned();
    if (is(name, "clone-userns")) return clone(child_of_clone, stack + sizeof stack, CLONE_NEWUSER | SIGCHLD, 0) < 0 ? blocked("clone") : pwned();
    if (is(name, "clone3")) { char args[64] = {0}; *(long *)args = CLONE_NEWUSER; return syscall(SYS_clone3, args, 64) < 0 ? blocked("clone3") : pwned(); }
    if (is(name, "setns")) { int fd = open("/proc/self/ns/net", O_RDONLY); return setns(fd, 0) < 0 ? blocked("setns") : pwned(); }
    if (is(name, "mount")) return mount("x", "/scratch", "tmpfs", 0, 0) < 0 ? blocked("mount") : pwned();
    if (is(name, "remount")) return mount("x", "/scratch", 0, MS_REMOUNT | MS_BIND, 0) < 0 ? blocked("remount") : pwned();
    if (is(name, "remount-root")) return mount("x", "/", 0, MS_REMOUNT | MS_BIND, 0) < 0 ? blocked("remount") : pwned();
    if (is(name, "umount")) return umount2("/proc/sys", MNT_DETACH) < 0 ? blocked("umount") : pwned();
    if (is(name, "open-tree")) return syscall(428, AT_FDCWD, "/", 1) < 0 ? blocked("open_tree") : pwned();
    if (is(name, "fsopen")) return syscall(430, "tmpfs", 0) < 0 ? blocked("fsopen") : pwned();
    if (is(name, "ptrace")) {
        int pid = fork();
        if (pid == 0) { pause(); _exit(0); }
        int failed = ptrace(PTRACE_ATTACH, pid, 0, 0) < 0, why = errno;
        kill(pid, SIGKILL);
        errno = why;
        return failed ? blocked("ptrace") : pwned();
    }
    if (is(name, "vm-write")) return syscall(SYS_process_vm_writev, getpid(), 0, 0, 0, 0, 0) < 0 ? blocked("process_vm_writev") : pwned();
    if (is(name, "bpf")) { char attr[128] = {0}; return syscall(SYS_bpf, 5, attr, sizeof attr) < 0 && errno == EPERM ? blocked("bpf") : pwned(); }
    if (is(name, "keyctl")) return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1) < 0 ? blocked("keyctl") : pwned();
    if (is(name, "userfaultfd")) return syscall(SYS_userfaultfd, 1) < 0 ? blocked("userfaultfd") : pwned();
    if (is(name, "io-uring")) { char params[256] = {0}; return syscall(425, 1, params) < 0 ? blocked("io_uring_setup") : pwned(); }
    if (is(name, "perf")) { char attr[128] = {0}; return syscall(SYS_perf_event_open, attr, 0, -1, -1, 0) < 0 && errno == EPERM ? blocked("perf") : pwned(); }
    if (is(name, "module")) return syscall(SYS_init_module, "", 0, "") < 0 && errno == EPERM ? blocked("init_module") : pwned();
    if (is(name, "kexec")) return syscall(SYS_kexec_load, 0, 0, 0, 0) < 0 ? blocked("kexec_load") : pwned();
    if (is(name, "chroot")) return chroot("/scratch") < 0 ? blocked("chroot") : pwned();
    if (is(name, "personality")) return personality(READ_IMPLIES_EXEC) < 0 ? blocked("personality") : pwned();
    if (is(name, "packet-socket")) return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? blocked("socket") : pwned();
    if (is(name, "raw-socket")) return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? blocked("socket") : pwned();
    if (is(name, "alg-socket")) return socket(38, SOCK_SEQPACKET, 0) < 0 ? blocked("socket") : pwned();
    if (is(name, "vsock")) return socket(40, SOCK_STREAM, 0) < 0 ? blocked("socket") : pwned();
    if (is(name, "device")) return mknod("/scratch/d", S_IFBLK | 0600, 0xFE00) < 0 ? blocked("mknod") : pwned();
    if (is(name, "sysctl")) return open("/proc/sys/kernel/core_pattern", O_WRONLY) < 0 ? blocked("open") : pwned();
    if (is(name, "sysrq")) return open("/proc/sysrq-trigger", O_WRONLY) < 0 ? blocked("open") : pwned();
    if (is(name, "cgroup")) return open("/sys/fs/cgroup/pids/pids.max", O_WRONLY) < 0 && open("/sys/fs/cgroup/pids.max", O_WRONLY) < 0 ? blocked("open") : pwned();
    if (is(name, "hostname")) return sethostname("x", 1) < 0 ? blocked("sethostname") : pwned();
    if (is(name, "setuid")) {
        char *argv[] = {"setuid", "euid", 0};
        return run("/bin/setuid", argv, environ), 0;
    }
    printf("no such attack\n");
    return 2;
}

static int cat(const char *path) {
    int fd = open(path, O_RDONLY), n;
    char buffer[4096];
    if (fd < 0) return blocked(path);
    while ((n = read(fd, buffer, sizeof buffer)) > 0) write(1, buffer, n);
    return 0;
}

static int list(const char *path) {
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) if (e->d_name[0] != '.') printf("%s\n", e->d_name);
    return 0;
}

static int serve(int port) {
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&a, sizeof a) < 0 || listen(s, 16) < 0) return blocked("listen");
    printf("listening\n"); fflush(stdout);
    for (;;) {
        int c = accept(s, 0, 0);
        write(c, "hello from inside\n", 18);
        close(c);
    }
}

static void *eat(long mib) {
    char *p = mmap(0, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < mib << 20; i += 4096) p[i] = 1;
    return p;
}

// Does to stdin and the devices whatever their modes allow, then reads stdin.
static int spoil_devices(void) {
    const char *names[] = {"/proc/self/fd/0", "/dev/stdin", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/proc/kcore", 0};
    char byte;
    for (const char **n = names; *n; n++) {
        utimensat(AT_FDCWD, *n, 0, 0);
        chown(*n, geteuid(), getegid());
        chmod(*n, 0600);
    }
    futimens(0, 0);
    fchown(0, geteuid(), getegid());
    fchmod(0, 0600);
    printf(read(0, &byte, 1) == 0 ? "stdin has ended\n" : "stdin has something\n");
    return 0;
}

// Says that its arguments are so long (prctl(2), PR_SET_MM): memory that it never touched.
static int claims(long bytes) {
    unsigned long f[53] = {0};
    char line[2048], *at;
    int fd = open("/proc/self/stat", O_RDONLY), n = read(fd, line, sizeof line - 1);
    line[n] = 0;
    at = strrchr(line, ')') + 1;
    // The state, a letter, is no number.
    at += 2;
    for (int i = 4; i < 53; i++) f[i] = strtoul(at, &at, 10);
    char *words = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (words == MAP_FAILED) return blocked("mmap");
    struct prctl_mm_map m = {
        .start_code = f[26], .end_code = f[27], .start_data = f[45], .end_data = f[46], .start_brk = f[47], .brk = (unsigned long)sbrk(0), .start_stack = f[28],
        .arg_start = (unsigned long)words, .arg_end = (unsigned long)words + bytes, .env_start = (unsigned long)words, .env_end = (unsigned long)words + bytes, .exe_fd = -1,
    };
    if (prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0) != 0) return blocked("prctl");
    printf("ready\n");
    for (;;) pause();
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "", *first = argc > 2 ? argv[2] : "", *second = argc > 3 ? argv[3] : "";
    setvbuf(stdout, 0, _IOLBF, 0);
    if (is(verb, "exit")) return atoi(first);
    if (is(verb, "pwned")) return pwned();
    if (is(verb, "say")) { printf("%s\n", first); if (*second) fprintf(stderr, "%s\n", second); return 0; }
    if (is(verb, "env")) { for (char **e = environ; *e; e++) printf("%s\n", *e); return 0; }
    if (is(verb, "cat")) return cat(first);
    if (is(verb, "list")) return list(first);
    if (is(verb, "euid")) { printf("euid %d\n", geteuid()); return 0; }
    if (is(verb, "spoil-devices")) return spoil_devices();
    if (is(verb, "attack")) return attack(first);
    if (is(verb, "serve")) return serve(atoi(first));
    if (is(verb, "wait")) { signal(SIGTERM, on_term); printf("ready\n"); for (;;) pause(); }
    if (is(verb, "deaf")) { signal(SIGTERM, SIG_IGN); printf("ready\n"); for (;;) pause(); }
    if (is(verb, "raise")) { int pid = fork(), status; if (pid == 0) { kill(getpid(), SIGSEGV); } waitpid(pid, &status, 0); return 128 + WTERMSIG(status); }
    if (is(verb, "lines")) { for (int i = 0; i < atoi(first); i++) printf("line %d\n", i); return 0; }
    if (is(verb, "long")) { for (int i = 0; i < atoi(first); i++) putchar('x'); putchar('\n'); return 0; }
    if (is(verb, "eat")) { eat(atoi(first)); printf("ate\n"); return 0; }
    if (is(verb, "child-eats")) { int pid = fork(), status; if (pid == 0) { eat(atoi(first)); _exit(0); } waitpid(pid, &status, 0); printf("child ended by %d\n", WTERMSIG(status)); return 0; }
    if (is(verb, "forks")) { int n = 0; while (n < 10000) { int pid = fork(); if (pid == 0) { pause(); } if (pid < 0) break; n++; } printf("forked %d\n", n); return 0; }
    if (is(verb, "threads")) { pthread_t t; int n = 0; while (n < 5 && pthread_create(&t, 0, (void *(*)(void *))pause, 0) == 0) n++; printf("threads %d\n", n); return 0; }
    if (is(verb, "spin")) {
        struct timespec start, now; struct rusage u;
        clock_gettime(CLOCK_MONOTONIC, &start);
        do clock_gettime(CLOCK_MONOTONIC, &now); while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < atoi(first));
        getrusage(RUSAGE_SELF, &u);
        printf("%ld\n", (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000);
        return 0;
    }
    if (is(verb, "jit")) {
        unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code == MAP_FAILED) return blocked("mmap");
        printf("mapped\n");
        return 0;
    }
    if (is(verb, "claims")) return claims(atol(first));
    if (is(verb, "maps")) {
        int fd = open("/proc/self/exe", O_RDONLY);
        for (int i = 0; i < atoi(first); i++) if (mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED) return blocked("mmap");
        printf("ready\n");
        for (;;) pause();
    }
    if (is(verb, "write")) { int fd = open(first, O_WRONLY | O_CREAT, 0644); if (fd < 0) return blocked(first); if (write(fd, "x", 1) != 1) return blocked("write"); printf("wrote\n"); return 0; }
    fprintf(stderr, "no verb '%s'\n", verb);
    return 2;
}
#endif
