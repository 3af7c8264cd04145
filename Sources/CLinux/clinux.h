// Linux calls and constants that Swift's Glibc module does not show. Header only: static inline
// wrappers, no object file. _GNU_SOURCE stays inside this header's users on purpose: defined
// globally it changes the socket address types that Glibc's module exports.
#ifndef HEAPWIRE_CLINUX_H
#define HEAPWIRE_CLINUX_H

#include "crc32c.h"
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <unistd.h>

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

/// Standard error as a descriptor-backed stream that Swift 6 can name.
static inline FILE *hw_stderr(void) { return stderr; }
static inline FILE *hw_stdout(void) { return stdout; }

#endif
