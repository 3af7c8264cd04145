// The operating system's LZ4, frame format.
#ifndef HEAPWIRE_CLZ4_H
#define HEAPWIRE_CLZ4_H
#include <lz4frame.h>
#endif
