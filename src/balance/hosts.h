/* The hosts file, read once for each change by a thread of libuv's pool, so that the loop never
 * waits for it, and kept as a table in which a name is found at once.
 */
#ifndef ZPROXY_BALANCE_HOSTS_H
#define ZPROXY_BALANCE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

#define HOSTS_SIZE_MAX (64 << 20) /* bytes of the file; what is beyond is not read */

struct hosts;

/* What is in the file has changed, or was read for the first time. */
typedef void hosts_changed_fn(void *arg);

/* Reads nothing yet. path is copied. Returns 0 or -ENOMEM. */
int hosts_open(struct hosts **out, uv_loop_t *loop, const char *path, hosts_changed_fn *changed,
               void *arg);
/* changed() is not called any more; memory goes when the loop runs on. */
void hosts_close(struct hosts *h);

/* Costs one stat(2), and has the file read when it is not what was read last. */
void hosts_check(struct hosts *h);
/* Whether it has been read at all, or found to be missing. */
bool hosts_ready(const struct hosts *h);

/* Calls found() for each address that the file has for a name, in its order, and for those that
 * "localhost" has without it (RFC 6761). Returns how many there were. */
typedef void hosts_found_fn(void *arg, const struct sockaddr *sa);
size_t hosts_find(const struct hosts *h, const char *name, hosts_found_fn *found, void *arg);

#endif
