/* A disk that takes its time: LD_PRELOAD it, and six of ten syncs wait for up to SLOW_SYNC_MS milliseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int slowly(const char *name, int fd)
{
	static long longest = -1;
	if (longest < 0) {
		const char *text = getenv("SLOW_SYNC_MS");
		longest = text ? atol(text) : 0;
	}
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long draw = now.tv_nsec / 977 % 1000;
	if (draw < 600)
		usleep((useconds_t)(draw * longest * 1000 / 600));
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	return real(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }

int fdatasync(int fd) { return slowly("fdatasync", fd); }
