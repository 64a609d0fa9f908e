/* Arrays that grow at the end. The owner keeps a pointer to the items and their number; it frees
 * the items with free(). */
#ifndef ZPROXY_BASE_ARRAY_H
#define ZPROXY_BASE_ARRAY_H

#include <stddef.h>

/* Appends a zeroed item of size bytes to the array. array points to the pointer to the items, which
 * is NULL while *count is 0. Returns the item, or NULL when out of memory: then nothing has
 * changed. Pointers to other items become invalid. */
void *array_add(void *array, size_t *count, size_t size);

#endif
