/* The hosts file as a sorted table. A thread of libuv's pool reads the file after each change, so
 * that the loop does not block. For the control thread.
 */
#ifndef ZPROXY_BALANCE_HOSTS_H
#define ZPROXY_BALANCE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

#define HOSTS_SIZE_MAX (64 << 20) /* bytes of the file that are read */

struct hosts;

/* The file was read for the first time, or again after a change. */
typedef void hosts_changed_fn(void *arg);

/* Does not read the file yet. path is copied. Returns 0 or -ENOMEM. */
int hosts_open(struct hosts **out, uv_loop_t *loop, const char *path, hosts_changed_fn *changed,
               void *arg);
/* changed() will not be called. Memory is freed when the loop runs on. h may be NULL. */
void hosts_close(struct hosts *h);

/* Starts to read the file if it has changed; costs one stat(2). */
void hosts_check(struct hosts *h);
/* Whether the file has been read, or found missing. */
bool hosts_ready(const struct hosts *h);

/* Calls found() for each address of a name, in the order of the file. "localhost" and names below
 * it have the loopback addresses even if the file has none (RFC 6761). Returns the number of
 * addresses.
 */
typedef void hosts_found_fn(void *arg, const struct sockaddr *sa);
size_t hosts_find(const struct hosts *h, const char *name, hosts_found_fn *found, void *arg);

#endif
