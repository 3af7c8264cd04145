// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) in the CPU's own instruction where it has
// one. Header only. The caller asks hw_crc32c_available() once and has a table for the rest.
#ifndef HEAPWIRE_CRC32C_H
#define HEAPWIRE_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/// SSE 4.2, by CPUID leaf 1.
static inline int hw_crc32c_available(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2) != 0;
}

__attribute__((target("sse4.2"))) static inline uint32_t hw_crc32c(
    uint32_t state, const unsigned char *bytes, size_t count) {
    uint64_t wide = state;
    for (; count >= 8; count -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    for (; count > 0; count--, bytes++) narrow = __builtin_ia32_crc32qi(narrow, *bytes);
    return narrow;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

/// HWCAP_CRC32 of asm/hwcap.h.
static inline int hw_crc32c_available(void) { return (getauxval(AT_HWCAP) & (1UL << 7)) != 0; }

__attribute__((target("crc"))) static inline uint32_t hw_crc32c(
    uint32_t state, const unsigned char *bytes, size_t count) {
    for (; count >= 8; count -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        state = __builtin_arm_crc32cd(state, word);
    }
    for (; count > 0; count--, bytes++) state = __builtin_arm_crc32cb(state, *bytes);
    return state;
}

#else
static inline int hw_crc32c_available(void) { return 0; }
static inline uint32_t hw_crc32c(uint32_t state, const unsigned char *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return state;
}
#endif
#endif
