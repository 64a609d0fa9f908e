/* The checksum CRC-32C (Castagnoli), as in RFC 9260, appendix A. */
#ifndef ZPROXY_BASE_CRC32C_H
#define ZPROXY_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_EMPTY 0u /* the checksum of nothing */

/* The checksum of what crc is the checksum of, followed by n bytes. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);

#endif
