// Pods to measure an agent on: PODS pods of two containers, real cgroups (v1 or v2) with a real process
// in each, one network namespace per pod. Every process touches 64 pages a second, so that the
// kernel has something to count.
//
//   load PODS ROOT       ROOT: /sys/fs/cgroup, or a v2 mount
//
// Prints `ready`, runs until standard input ends, then removes everything. Needs root.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *controllers[] = {"memory", "cpu", "cpuacct", "pids", "blkio"};
enum { controllerCount = 5, containersPerPod = 2, pageCount = 64 };

static const char *root;
static int isV2;

static void fail(const char *what, const char *path) {
    fprintf(stderr, "load: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void writeFile(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("write", path);
    close(fd);
}

// The directory of a cgroup in the index-th hierarchy.
static void directory(char *out, size_t size, int index, const char *path) {
    if (isV2) snprintf(out, size, "%s/%s", root, path);
    else snprintf(out, size, "%s/%s/%s", root, controllers[index], path);
}

static int hierarchyCount(void) { return isV2 ? 1 : controllerCount; }

// In v2 a cgroup whose children have controllers may have no process of its own.
static void make(const char *path, int isLeaf) {
    char where[512];
    for (int i = 0; i < hierarchyCount(); i++) {
        directory(where, sizeof where, i, path);
        if (mkdir(where, 0755) < 0 && errno != EEXIST) fail("mkdir", where);
        if (isV2 && !isLeaf) {
            strcat(where, "/cgroup.subtree_control");
            int fd = open(where, O_WRONLY | O_CLOEXEC);
            if (fd >= 0) {
                // Whatever controllers there are.
                for (const char *c = "+memory\0+cpu\0+pids\0+io\0"; *c; c += strlen(c) + 1) {
                    if (write(fd, c, strlen(c)) < 0) continue;
                }
                close(fd);
            }
        }
    }
}

static void removeAll(const char *path) {
    char where[512];
    for (int i = 0; i < hierarchyCount(); i++) {
        directory(where, sizeof where, i, path);
        for (int attempt = 0; attempt < 100 && rmdir(where) < 0 && errno == EBUSY; attempt++) usleep(10000);
    }
}

static void podPath(char *out, size_t size, int pod) {
    snprintf(out, size, "kubepods/burstable/pod%08x-0000-4000-8000-00000000beef", pod);
}

static void containerPath(char *out, size_t size, int pod, int container) {
    char base[256];
    podPath(base, sizeof base, pod);
    snprintf(out, size, "%s/%032x%032x", base, pod + 1, container + 1);
}

// A container's process: touches its pages once a second until it is killed.
static void work(int pod, int container) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char path[512], where[640], self[32];
    containerPath(path, sizeof path, pod, container);
    snprintf(self, sizeof self, "%d", getpid());
    for (int i = 0; i < hierarchyCount(); i++) {
        directory(where, sizeof where, i, path);
        strcat(where, "/cgroup.procs");
        writeFile(where, self);
    }
    char *pages = mmap(NULL, pageCount * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // Spread over the second, as real processes are.
    usleep((unsigned)((pod * containersPerPod + container) * 4001 % 1000000));
    for (;;) {
        madvise(pages, pageCount * 4096, MADV_DONTNEED);
        for (int i = 0; i < pageCount; i++) pages[i * 4096] = 1;
        sleep(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int podCount = atoi(argv[1]);
    root = argv[2];
    char path[512];
    snprintf(path, sizeof path, "%s/cgroup.controllers", root);
    isV2 = access(path, F_OK) == 0;
    make("kubepods", 0);
    make("kubepods/burstable", 0);
    pid_t *children = calloc((size_t)podCount, sizeof *children);
    for (int pod = 0; pod < podCount; pod++) {
        podPath(path, sizeof path, pod);
        make(path, 0);
        for (int container = 0; container < containersPerPod; container++) {
            containerPath(path, sizeof path, pod, container);
            make(path, 1);
        }
        // One child per pod makes the namespace; it and its own child are the containers.
        children[pod] = fork();
        if (children[pod] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            fclose(stdin);
            if (unshare(CLONE_NEWNET) < 0) fail("unshare", "network");
            for (int container = 1; container < containersPerPod; container++)
                if (fork() == 0) work(pod, container);
            work(pod, 0);
        }
    }
    sleep(2);
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF) {}
    for (int pod = 0; pod < podCount; pod++) kill(children[pod], SIGKILL);
    while (wait(NULL) > 0) {}
    usleep(200000);
    for (int pod = 0; pod < podCount; pod++) {
        for (int container = 0; container < containersPerPod; container++) {
            containerPath(path, sizeof path, pod, container);
            removeAll(path);
        }
        podPath(path, sizeof path, pod);
        removeAll(path);
    }
    removeAll("kubepods/burstable");
    removeAll("kubepods");
    return 0;
}
