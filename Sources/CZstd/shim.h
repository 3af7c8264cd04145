// The operating system's Zstandard.
#ifndef HEAPWIRE_CZSTD_H
#define HEAPWIRE_CZSTD_H
#include <zstd.h>
#endif
