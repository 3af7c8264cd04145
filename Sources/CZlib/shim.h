// The operating system's zlib, with the macros that Swift cannot see as functions.
#ifndef HEAPWIRE_CZLIB_H
#define HEAPWIRE_CZLIB_H
#include <zlib.h>

/// deflateInit2 for a gzip stream (window bits 15 + 16).
static inline int hw_gzip_init(z_streamp stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

/// deflateInit2 for a zlib stream (window bits 15), which HTTP calls "deflate".
static inline int hw_deflate_init(z_streamp stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15, 8, Z_DEFAULT_STRATEGY);
}

/// inflateInit2 for a gzip or zlib stream (window bits 15 + 32).
static inline int hw_gunzip_init(z_streamp stream) { return inflateInit2(stream, 15 + 32); }
#endif
