#include "base/array.h"

#include <stdlib.h>
#include <string.h>

void *array_add(void *array, size_t *count, size_t size)
{
    char *items = NULL;
    memcpy(&items, array, sizeof items); /* the type of the pointer is unknown here: no cast */
    if ((*count & (*count - 1)) == 0) {  /* the room is the next power of two: full at 0, 1, 2, 4 */
        size_t room = *count == 0 ? 1 : *count * 2;
        char *more = reallocarray(items, room, size);
        if (more == NULL)
            return NULL;
        items = more;
        memcpy(array, &items, sizeof items);
    }
    return memset(items + (*count)++ * size, 0, size);
}
