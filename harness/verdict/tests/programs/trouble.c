/* One small program for every kind of trouble that a cell can meet; its first
 * argument says which. The corpus beside it holds what kernels and C libraries
 * said of these, and the end-to-end tests run it again on real kernels. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEAF __attribute__((noinline, noclone))

DEAF void poke_null(volatile int *where) { *where = 1; }
DEAF int read_wild(volatile int *where) { return *where; }
DEAF long through_the_page(uintptr_t entry) { return ((long (*)(void *, void *, void *))entry)(0, 0, 0); }
DEAF void stop_here(void) { __builtin_trap(); }

/* Where a shell stands between the death and the cell's end. */
static int in_a_child(void (*what)(void)) {
    pid_t child = fork();
    if (child == 0) { what(); _exit(0); }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

static void null(void) { poke_null((int *)8); }
static void time_page(void) { through_the_page(0xffffffffff600400); }

/* A filter that gives one answer to one x86-64 system call. */
static void filter(int call, unsigned answer) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) { perror("seccomp"); exit(9); }
}

static void refused(void) { filter(SYS_getppid, SECCOMP_RET_KILL); getppid(); }

static int tell(const char *what, long answer) {
    if (answer >= 0) { printf("%s: %ld\n", what, answer); return 0; }
    fprintf(stderr, "trouble: %s: %s\n", what, strerror(errno));
    return 1;
}

static int fill(const char *path) {
    static char block[1 << 20];
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return tell(path, -1);
    memset(block, 'x', sizeof block);
    for (;;) {
        ssize_t wrote = write(file, block, sizeof block);
        if (wrote < 0) { int failed = tell(path, -1); unlink(path); return failed; }
    }
}

/* The kernel fills the pages while the program waits in it: one that touches them
 * itself waits for its own code in the end, which the kernel drops and reads again. */
static int eat(void) {
    for (;;) {
        void *block = mmap(0, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (block == MAP_FAILED) return tell("mmap", -1);
    }
}

/* What systemd 219 does first of all, and says where it cannot. */
static int mount_v1(void) {
    if (mount("cgroup", "/dev/shm", "cgroup", MS_NOSUID | MS_NOEXEC | MS_NODEV, "none,name=systemd,xattr") == 0) return 0;
    fprintf(stderr, "Failed to mount cgroup at /sys/fs/cgroup/systemd: %s\n", strerror(errno));
    return 1;
}

/* Writes to a file from a page that nobody ever gives, and so holds the file's lock,
 * for which a child waits where no signal wakes it. */
static int hold_lock(void) {
    int handler = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (handler < 0) return tell("userfaultfd", -1);
    struct uffdio_api version = { .api = UFFD_API };
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register there = { .range = { (uintptr_t)page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (ioctl(handler, UFFDIO_API, &version) || ioctl(handler, UFFDIO_REGISTER, &there)) return tell("ioctl", -1);
    int file = open("/dev/shm/held", O_RDWR | O_CREAT, 0600);
    if (file < 0) return tell("/dev/shm/held", -1);
    if (fork() == 0) {
        usleep(300000);
        _exit(write(file, "x", 1) != 1);
    }
    return tell("write", write(file, page, 4096));
}

/* Initialises one of the modules that the tests make for the running kernel. Where it
 * comes back from that, the program waits for what it never gives. */
static int load(const char *name) {
    struct utsname system;
    char path[256];
    uname(&system);
    snprintf(path, sizeof path, "/lib/modules/%s/%s.ko", system.release, name);
    int file = open(path, O_RDONLY);
    if (file < 0) return tell(path, -1);
    if (syscall(SYS_finit_module, file, "", 0)) return tell("finit_module", -1);
    pause();
    return 0;
}

/* Processes that come and go: the kernel has always one to forget, which takes a grace
 * period. One is under way when this comes back. */
static void keep_forgetting(void) {
    if (fork() == 0) {
        for (;;) {
            if (fork() == 0) _exit(0);
            wait(0);
        }
    }
    usleep(100000);
}

/* Ahead of everything else that wants the only CPU, the kernel's own threads too. */
static int spin_first(void) {
    struct sched_param highest = { .sched_priority = 99 };
    struct timespec begun, now;
    keep_forgetting();
    if (sched_setscheduler(0, SCHED_FIFO, &highest)) return tell("sched_setscheduler", -1);
    /* Awake again at any moment, and not behind what the same tick of the clock woke. */
    usleep(30137);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do clock_gettime(CLOCK_MONOTONIC, &now); while (now.tv_sec < begun.tv_sec + 6);
    pause();
    return 0;
}

/* A /proc of its own, where /proc/sysrq-trigger can be written to. */
static int press_sysrq(const char *key) {
    if (mount("proc", "/dev/shm", "proc", 0, 0)) return tell("mount proc", -1);
    int file = open("/dev/shm/sysrq-trigger", O_WRONLY);
    if (file < 0) return tell("sysrq-trigger", -1);
    return tell("sysrq", write(file, key, 1));
}

/* What only such a /proc lets a container change. */
static int set(const char *name, const char *value) {
    if (mount("proc", "/dev/shm", "proc", 0, 0)) return tell("mount proc", -1);
    char path[256];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    int file = open(path, O_WRONLY);
    if (file < 0) return tell(name, -1);
    return tell(name, write(file, value, strlen(value)));
}

static int show(const char *path) {
    char text[4096];
    int file = open(path, O_RDONLY);
    if (file < 0) return tell(path, -1);
    ssize_t length = read(file, text, sizeof text);
    return length < 0 || write(1, text, length) != length;
}

/* A memory limit for the cgroup the program is in, and more than that. */
static int eat_more_than_the_group_may(void) {
    if (mount("cgroup2", "/dev/shm", "cgroup2", 0, 0)) return tell("mount cgroup2", -1);
    int file = open("/dev/shm/memory.max", O_WRONLY);
    if (file < 0) return tell("memory.max", -1);
    if (write(file, "32M", 3) < 0) return tell("memory.max", -1);
    return eat();
}

int main(int count, char **word) {
    const char *which = count > 1 ? word[1] : "";
    if (!strcmp(which, "null")) { null(); return 0; }
    if (!strcmp(which, "wild")) return read_wild((int *)0x8000000000000000);
    if (!strcmp(which, "opcode")) { stop_here(); return 0; }
    if (!strcmp(which, "abort")) abort();
    if (!strcmp(which, "execute")) return through_the_page((uintptr_t)mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (!strcmp(which, "beside")) return read_wild((int *)0xffffffffff601000);
    if (!strcmp(which, "write-page")) { poke_null((int *)0xffffffffff600400); return 0; }
    if (!strcmp(which, "page")) { time_page(); return 0; }
    if (!strcmp(which, "read-page")) return read_wild((int *)0xffffffffff600400);
    if (!strcmp(which, "child")) { in_a_child(null); return 0; }
    if (!strcmp(which, "child-page")) { in_a_child(time_page); return 0; }
    if (!strcmp(which, "child-refused")) { in_a_child(refused); return 0; }
    if (!strcmp(which, "child-told")) { int s = in_a_child(null); return WIFSIGNALED(s) ? 128 + WTERMSIG(s) : 0; }
    if (!strcmp(which, "child-other")) { in_a_child(null); fprintf(stderr, "trouble: cannot access 'x': No such file or directory\n"); return 2; }
    if (!strcmp(which, "exit")) return atoi(word[2]);
    if (!strcmp(which, "say")) { fprintf(stderr, "%s\n", word[2]); return count > 3 ? atoi(word[3]) : 1; }
    if (!strcmp(which, "kill-call")) { filter(SYS_getppid, SECCOMP_RET_KILL); return tell("getppid", getppid()); }
    if (!strcmp(which, "trap-call")) { filter(SYS_getppid, SECCOMP_RET_TRAP); return tell("getppid", getppid()); }
    if (!strcmp(which, "deny-call")) { filter(SYS_getppid, SECCOMP_RET_ERRNO | EPERM); return tell("getppid", syscall(SYS_getppid)); }
    if (!strcmp(which, "call")) return tell("call", syscall(atol(word[2]), -1, 0, 0, 0, 0, 0));
    if (!strcmp(which, "as-2.6")) { personality(UNAME26); execv(word[2], word + 2); return tell(word[2], -1); }
    if (!strcmp(which, "mount-v1")) return mount_v1();
    if (!strcmp(which, "hold-lock")) return hold_lock();
    if (!strcmp(which, "load")) return load(word[2]);
    if (!strcmp(which, "child-load")) { if (fork() == 0) return load(word[2]); wait(0); return 0; }
    if (!strcmp(which, "load-meanwhile")) { keep_forgetting(); return load(word[2]); }
    if (!strcmp(which, "spin-first")) return spin_first();
    if (!strcmp(which, "sysrq")) return press_sysrq(word[2]);
    if (!strcmp(which, "set")) return set(word[2], word[3]);
    if (!strcmp(which, "show")) return show(word[2]);
    if (!strcmp(which, "eat-group")) return eat_more_than_the_group_may();
    if (!strcmp(which, "mount")) return tell("mount", mount("tmpfs", "/dev/shm", "tmpfs", 0, 0));
    if (!strcmp(which, "raise")) { raise(atoi(word[2])); pause(); return 0; }
    if (!strcmp(which, "user-namespace")) return tell("unshare", unshare(CLONE_NEWUSER));
    if (!strcmp(which, "fill")) return fill(word[2]);
    if (!strcmp(which, "eat")) return eat();
    if (!strcmp(which, "open")) { int file = open(word[2], O_RDWR); return tell(word[2], file); }
    if (!strcmp(which, "wait")) { pause(); return 0; }
    if (!strcmp(which, "time64")) { struct timespec now; return tell("clock_gettime", clock_gettime(CLOCK_REALTIME, &now)); }
    fprintf(stderr, "usage: trouble KIND [ARGUMENT]\n");
    return 64;
}
