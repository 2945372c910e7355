/* The first process of a machine that measures how long runtimes take: /runtime,
 * /crun and /runc run the bundle in /bundle in turn, and each time is a line on
 * the console. Then the machine powers off. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS 20

static void must(int failed, const char *what)
{
	if (!failed)
		return;
	printf("failed %s: %s\n", what, strerror(errno));
	reboot(RB_POWER_OFF);
}

static void mounted(const char *type, const char *target, const char *options)
{
	mkdir(target, 0755);
	must(mount(type, target, type, 0, options), target);
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	must(fd < 0 || write(fd, text, strlen(text)) < 0, path);
	close(fd);
}

/* Microseconds from fork to the end, -1 where it did not end well. */
static long run(char *const *command)
{
	struct timespec begun, ended;
	int status;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	pid_t child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDONLY);
		dup2(null, 0);
		execv(command[0], command);
		_exit(127);
	}
	while (waitpid(child, &status, 0) != child)
		;
	clock_gettime(CLOCK_MONOTONIC, &ended);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("failed %s: wait status %#x\n", command[0], status);
		return -1;
	}
	return (ended.tv_sec - begun.tv_sec) * 1000000 + (ended.tv_nsec - begun.tv_nsec) / 1000;
}

int main(void)
{
	char id[32];
	/* pivot_root refuses the initial root file system, whoever calls it. */
	must(mkdir("/top", 0755) || mount("/", "/top", NULL, MS_BIND, NULL) || chdir("/top")
		|| mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"), "the root");
	mounted("proc", "/proc", NULL);
	mounted("sysfs", "/sys", NULL);
	mounted("devtmpfs", "/dev", NULL);
	mounted("tmpfs", "/run", NULL);
	mounted("tmpfs", "/tmp", NULL);
	must(mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL), "cgroup2");
	write_to("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids +cpu");
	setenv("PATH", "/", 1);
	for (int turn = 0; turn <= RUNS; turn++) {
		static const char *const names[] = { "runtime", "crun", "runc" };
		for (int i = 0; i < 3; i++) {
			char path[32];
			snprintf(path, sizeof path, "/%s", names[i]);
			snprintf(id, sizeof id, "%s-%d", names[i], turn);
			char *command[] = { path, "run", "--bundle", "/bundle", id, NULL };
			long time = run(command);
			/* The first of each warms the caches. */
			if (turn && time >= 0)
				printf("took %s %ld\n", names[i], time);
			fflush(stdout);
		}
	}
	printf("done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
