/* The program the tests run in containers: static, so that a root file system
 * needs nothing else. Says on stdout what it finds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void lines_of(const char *path, const char *prefix)
{
	char line[4096];
	FILE *file = fopen(path, "r");
	if (!file) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, prefix, strlen(prefix)))
			fputs(line, stdout);
	fclose(file);
}

/* pid, ids, names, directory, environment, open descriptors. */
static int report(void)
{
	char text[4096];
	gid_t groups[64];
	printf("pid %d\nppid %d\nsid %d\n", getpid(), getppid(), getsid(0));
	printf("uid %d %d\ngid %d %d\ngroups", getuid(), geteuid(), getgid(), getegid());
	int count = getgroups(64, groups);
	for (int i = 0; i < count; i++)
		printf(" %d", groups[i]);
	gethostname(text, sizeof text);
	printf("\nhostname %s\n", text);
	printf("cwd %s\n", getcwd(text, sizeof text) ? text : strerrorname_np(errno));
	for (char **entry = environ; *entry; entry++)
		printf("env %s\n", *entry);
	mode_t mask = umask(0);
	printf("umask %03o\ndescriptors", mask);
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			printf(" %d", fd);
	printf("\n");
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	printf("nofile %llu %llu\n", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
	lines_of("/proc/self/status", "Cap");
	lines_of("/proc/self/status", "NoNewPrivs");
	lines_of("/proc/self/status", "Sig");
	lines_of("/proc/self/uid_map", "");
	return 0;
}

static int answer(const char *what, int failed)
{
	printf("%s\n", failed ? strerrorname_np(errno) : what);
	return 0;
}

static int read_file(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return answer("", 1);
	ssize_t count = read(fd, text, sizeof text);
	if (count < 0)
		return answer("", 1);
	printf("%zd bytes\n", count);
	fwrite(text, 1, (size_t)count, stdout);
	return 0;
}

static int list(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);
	if (count < 0)
		return answer("", 1);
	for (int i = 0; i < count; i++)
		if (names[i]->d_name[0] != '.')
			printf("%s\n", names[i]->d_name);
	return 0;
}

static int look(const char *path)
{
	struct stat status;
	char target[4096];
	if (lstat(path, &status))
		return answer("", 1);
	if (S_ISLNK(status.st_mode)) {
		ssize_t count = readlink(path, target, sizeof target - 1);
		printf("link %.*s\n", (int)count, target);
	} else {
		printf("%s %o %u:%u\n", S_ISCHR(status.st_mode) ? "char" : S_ISBLK(status.st_mode) ? "block"
			: S_ISDIR(status.st_mode) ? "folder" : S_ISFIFO(status.st_mode) ? "fifo" : "file",
			status.st_mode & 07777, major(status.st_rdev), minor(status.st_rdev));
	}
	return 0;
}

/* A server and a client on 127.0.0.1. */
static int loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 1)
		|| getsockname(server, (struct sockaddr *)&address, &size))
		return answer("", 1);
	return answer("connected", connect(client, (struct sockaddr *)&address, sizeof address));
}

static void *nothing(void *argument)
{
	return argument;
}

/* pthread_create; where glibc has clone3 (2.34), by it. */
static int thread(void)
{
	pthread_t id;
	errno = pthread_create(&id, NULL, nothing, NULL);
	if (errno)
		return answer("", 1);
	return answer("joined", pthread_join(id, NULL) != 0);
}

/* An orphan that ends: who is PID 1 has to wait for it. */
static int orphan(void)
{
	int pipes[2];
	char name[64];
	pid_t pid = 0;
	if (pipe(pipes))
		return answer("", 1);
	pid_t child = fork();
	if (child == 0) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		if (write(pipes[1], &pid, sizeof pid) != sizeof pid)
			_exit(1);
		_exit(0);
	}
	if (read(pipes[0], &pid, sizeof pid) != sizeof pid)
		return answer("", 1);
	waitpid(child, NULL, 0);
	snprintf(name, sizeof name, "/proc/%d", pid);
	for (int i = 0; i < 200; i++) {
		if (access(name, F_OK))
			return answer("reaped", 0);
		usleep(10000);
	}
	return answer("zombie", 0);
}

/* A child of a child that outlives both, if it can. */
static int daemonise(void)
{
	int pipes[2];
	char byte;
	if (pipe(pipes))
		return answer("", 1);
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			signal(SIGHUP, SIG_IGN);
			if (write(pipes[1], "x", 1) == 1)
				for (;;)
					pause();
		}
		_exit(0);
	}
	return read(pipes[0], &byte, 1) == 1 ? 5 : 1;
}

/* Uses megabytes of memory. */
static int allocate(long megabytes)
{
	size_t size = (size_t)megabytes << 20;
	char *memory = malloc(size);
	if (!memory)
		return answer("", 1);
	for (size_t at = 0; at < size; at += 4096)
		memory[at] = 1;
	/* Read, so that it stays there. */
	return answer("allocated", memory[size - 4096] != 1);
}

/* A child uses them, this process lives on. */
static int allocate_in_child(long megabytes)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		_exit(allocate(megabytes));
	waitpid(child, &status, 0);
	printf("child %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
	fflush(stdout);
	for (;;)
		pause();
}

/* Children that wait, as many as it gets. */
static int fork_many(long most)
{
	int count = 0;
	for (; count < most; count++) {
		pid_t child = fork();
		if (child < 0)
			break;
		if (child == 0)
			for (;;)
				pause();
	}
	printf("%d and then %s\n", count, count < most ? strerrorname_np(errno) : "enough");
	return 0;
}

/* Busy for milliseconds of the clock, for ever without. */
static int spin(long milliseconds)
{
	struct timespec begun, now;
	printf("spinning\n");
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (!milliseconds || (now.tv_sec - begun.tv_sec) * 1000
		+ (now.tv_nsec - begun.tv_nsec) / 1000000 < milliseconds);
	return 0;
}

/* Busy until cpu.stat at path tells of a group that was throttled, half a minute at
   most; says what it tells then. */
static int spin_until_throttled(const char *path)
{
	const char *name = "nr_throttled ";
	for (int round = 0; round < 300; round++) {
		char text[4096];
		if (spin(100))
			return 1;
		int fd = open(path, O_RDONLY);
		ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		if (count < 0)
			return answer("", 1);
		close(fd);
		text[count] = 0;
		const char *found = strstr(text, name);
		if (found && atol(found + strlen(name)) > 0)
			break;
	}
	return read_file(path);
}

/* Makes a character device, and opens it. */
static int device(const char *path, const char *major, const char *minor)
{
	if (mknod(path, S_IFCHR | 0600, makedev(atoi(major), atoi(minor))) && errno != EEXIST)
		return answer("", 1);
	return answer("opened", open(path, O_RDWR) < 0);
}

static void on_term(int number)
{
	_exit(number == SIGTERM ? 7 : number == SIGINT ? 9 : 8);
}

/* Runs a command in a mount namespace whose root is the machine's initial root
 * file system, as it is for PID 1 in an initramfs; the machine's own tree is
 * at /tree. Exits with the command's status, or 90 and above. */
static int initial_root(char **command)
{
	int status, made_proc;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return answer("", 1), 91;
	int space = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* CLONE */ | O_CLOEXEC | 0x8000 /* RECURSIVE */);
	if (space < 0 || tree < 0)
		return answer("", 1), 92;
	if (umount2("/", MNT_DETACH) || setns(space, CLONE_NEWNS))
		return answer("", 1), 93;
	if (mkdir("/tree", 0755) && errno != EEXIST)
		return answer("", 1), 94;
	made_proc = !mkdir("/proc", 0755);
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tree", 4 /* F_EMPTY_PATH */)
		|| mount("proc", "/proc", "proc", 0, NULL))
		return answer("", 1), 95;
	pid_t child = fork();
	if (child == 0) {
		execv(command[0], command);
		_exit(96);
	}
	waitpid(child, &status, 0);
	umount2("/tree", MNT_DETACH);
	umount2("/proc", MNT_DETACH);
	rmdir("/tree");
	if (made_proc)
		rmdir("/proc");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

/* Which terminal it has, its size, and whether it is the process's own. */
static int terminal(void)
{
	struct winsize size;
	char name[64];
	struct stat console, input;
	for (int fd = 0; fd < 3; fd++)
		printf("stream %d %s\n", fd, ttyname_r(fd, name, sizeof name) ? strerrorname_np(errno) : name);
	if (ioctl(0, TIOCGWINSZ, &size))
		return answer("", 1);
	printf("size %dx%d\n", size.ws_row, size.ws_col);
	printf("session %s\n", tcgetsid(0) == getsid(0) ? "its own" : "another's");
	int own = open("/dev/tty", O_RDWR);
	printf("controlling %s\n", own < 0 ? strerrorname_np(errno) : "there");
	int same = !stat("/dev/console", &console) && !fstat(0, &input) && console.st_rdev == input.st_rdev;
	printf("console %s\n", same ? "the same" : "another");
	fstat(0, &input);
	printf("owner %d:%d\n", input.st_uid, input.st_gid);
	return 0;
}

/* Says what it reads, a line at a time, to the end of its input. */
static int echo(void)
{
	char line[256];
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		printf("read %s\n", line);
		fflush(stdout);
	}
	return answer("end", 0);
}

int main(int count, char **words)
{
	const char *word = count > 1 ? words[1] : "", *path = count > 2 ? words[2] : "";
	if (!strcmp(word, "exit"))
		return atoi(path);
	if (!strcmp(word, "report"))
		return report();
	if (!strcmp(word, "fault")) {
		*(volatile int *)0 = 1;
		return 99;
	}
	if (!strcmp(word, "abort"))
		abort();
	if (!strcmp(word, "signal-self")) {
		kill(getpid(), atoi(path));
		return 42;
	}
	if (!strcmp(word, "wait") || !strcmp(word, "wait-for-term") || !strcmp(word, "wait-for-int")) {
		if (word[4])
			signal(word[9] == 'i' ? SIGINT : SIGTERM, on_term);
		printf("waiting\n");
		fflush(stdout);
		for (;;)
			pause();
	}
	if (!strcmp(word, "read"))
		return read_file(path);
	if (!strcmp(word, "write")) {
		int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
		return answer("written", fd < 0 || write(fd, "x", 1) != 1);
	}
	if (!strcmp(word, "remove"))
		return answer("removed", remove(path));
	if (!strcmp(word, "list"))
		return list(path);
	if (!strcmp(word, "look"))
		return look(path);
	if (!strcmp(word, "mount"))
		return answer("mounted", mount("tmpfs", path, "tmpfs", 0, NULL));
	if (!strcmp(word, "mknod"))
		return answer("made", mknod(path, S_IFCHR | 0600, makedev(1, 3)));
	if (!strcmp(word, "allocate"))
		return allocate(atol(path));
	if (!strcmp(word, "allocate-in-child"))
		return allocate_in_child(atol(path));
	if (!strcmp(word, "fork"))
		return fork_many(atol(path));
	if (!strcmp(word, "spin"))
		return spin(atol(path));
	if (!strcmp(word, "spin-until-throttled"))
		return spin_until_throttled(path);
	if (!strcmp(word, "device") && count > 4)
		return device(path, words[3], words[4]);
	if (!strcmp(word, "chown") && count > 3)
		return answer("given", lchown(path, (uid_t)atoi(words[3]), (gid_t)atoi(words[3])));
	if (!strcmp(word, "terminal"))
		return terminal();
	if (!strcmp(word, "echo"))
		return echo();
	if (!strcmp(word, "thread"))
		return thread();
	if (!strcmp(word, "orphan"))
		return orphan();
	if (!strcmp(word, "call"))
		return answer("0", syscall(atol(path), 0, 0, 0, 0, 0, 0) < 0);
	if (!strcmp(word, "unshare"))
		return answer("unshared", unshare((int)strtol(path, NULL, 0)));
	if (!strcmp(word, "loopback"))
		return loopback();
	if (!strcmp(word, "initial-root") && count > 2)
		return initial_root(words + 2);
	if (!strcmp(word, "daemonise"))
		return daemonise();
	fprintf(stderr, "probe: no such word: %s\n", word);
	return 98;
}
