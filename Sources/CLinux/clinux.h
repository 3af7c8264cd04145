// Linux calls and constants that Swift's Glibc module does not show. Header only: static inline
// wrappers, no object file. _GNU_SOURCE stays inside this header's users on purpose: defined
// globally it changes the socket address types that Glibc's module exports.
#ifndef HEAPWIRE_CLINUX_H
#define HEAPWIRE_CLINUX_H

#include "crc32c.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <unistd.h>

/// Asks for the cache line of an address that is about to be read. Any address is allowed.
static inline void hw_prefetch(const void *address) { __builtin_prefetch(address); }

/// errno as a plain function: the macro is invisible to Swift in some contexts.
static inline int hw_errno(void) { return errno; }

/// getrandom(2).
static inline long hw_getrandom(void *buffer, size_t byteCount) {
    return syscall(SYS_getrandom, buffer, byteCount, 0);
}

/// accept4(2): a connection that is close-on-exec and nonblocking from its first moment.
/// `address` holds `*byteCount` bytes, at least a sockaddr_storage. -1 and errno on failure.
static inline int hw_accept4(int listener, void *address, unsigned int *byteCount) {
    return (int)syscall(SYS_accept4, listener, address, byteCount, 02000000 | 00004000);
}

/// PR_SET_NAME of prctl(2): the calling thread's name; the kernel keeps the first 15 bytes.
static inline void hw_set_thread_name(const char *name) {
    syscall(SYS_prctl, 15, name, 0, 0, 0);
}

/// madvise(2), MADV_DONTNEED, on this executable's own segments that are never written: code and
/// constants. They leave this process's resident memory and stay in the page cache, from where what is
/// still used comes back by itself. -1 and errno on failure.
static inline int hw_release_text(void) {
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    unsigned long count = getauxval(AT_PHNUM), page = getauxval(AT_PAGESZ);
    uintptr_t bias = 0;
    if (!headers || page == 0) return -1;
    // Where the file's first byte was mapped, less where it asked to be.
    for (unsigned long i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && headers[i].p_offset == 0)
            bias = (uintptr_t)headers - sizeof(ElfW(Ehdr)) - headers[i].p_vaddr;
    for (unsigned long i = 0; i < count; i++) {
        if (headers[i].p_type != PT_LOAD || (headers[i].p_flags & PF_W)) continue;
        uintptr_t start = (bias + headers[i].p_vaddr) & ~(uintptr_t)(page - 1);
        uintptr_t end = bias + headers[i].p_vaddr + headers[i].p_memsz;
        if (madvise((void *)start, end - start, MADV_DONTNEED) < 0) return -1;
    }
    return 0;
}

/// malloc_trim(3): free memory of all arenas goes back to the kernel.
static inline void hw_malloc_trim(void) { malloc_trim(0); }

/// The calling thread's CPU and disk time come after everybody else's: nice 19, ioprio idle.
static inline void hw_lower_thread_priority(void) {
    long thread = syscall(SYS_gettid);
    syscall(SYS_setpriority, 0 /* PRIO_PROCESS */, thread, 19);
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, thread, 3 << 13 /* IOPRIO_CLASS_IDLE */);
}

/// A quota project: its number and the bytes that its files take.
struct hw_project {
    uint32_t number;
    uint64_t byteCount;
};

/// FS_IOC_FSGETXATTR of ioctl_xfs_fsgetxattr(2): the project that a directory belongs to and hands on
/// to what is made in it. 0 where it has one, -1 otherwise.
static inline int hw_project_of(const char *path, struct hw_project *project) {
    struct { uint32_t flags, extent, extents, project, cow; unsigned char pad[8]; } attributes;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    int code = ioctl(fd, 0x801c581fUL, &attributes);
    close(fd);
    if (code < 0 || attributes.project == 0 || !(attributes.flags & 0x200 /* PROJINHERIT */)) return -1;
    project->number = attributes.project;
    return 0;
}

/// Q_GETQUOTA of quotactl_fd(2), Linux 5.14: what the project's files take. Needs CAP_SYS_ADMIN.
/// -1 and errno on failure.
static inline int hw_project_usage(const char *path, struct hw_project *project) {
    struct { uint64_t bhard, bsoft, space, ihard, isoft, inodes, btime, itime; uint32_t valid; } quota;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    long code = syscall(443, fd, 0x80000702u /* QCMD(Q_GETQUOTA, PRJQUOTA) */, project->number, &quota);
    close(fd);
    if (code < 0) return -1;
    project->byteCount = quota.space;
    return 0;
}

/// Standard error as a descriptor-backed stream that Swift 6 can name.
static inline FILE *hw_stderr(void) { return stderr; }
static inline FILE *hw_stdout(void) { return stdout; }

#endif
