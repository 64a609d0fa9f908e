/* Arrays that grow at their end, kept as a pointer and a count alone. */
#ifndef ZPROXY_CONFIG_ARRAY_H
#define ZPROXY_CONFIG_ARRAY_H

#include <stddef.h>

/* Adds a zeroed item of size bytes to the array whose pointer is at `array`, and returns it; NULL
 * where there is no memory, nothing changed then. Pointers to earlier items become invalid. */
void *array_add(void *array, size_t *count, size_t size);

#endif
