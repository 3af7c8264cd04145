// The operating system's snappy, by its C interface.
#ifndef HEAPWIRE_CSNAPPY_H
#define HEAPWIRE_CSNAPPY_H
#include <snappy-c.h>
#endif
