/* Descriptors 0, 1 and 2, whatever the caller of the program has left of them. */
#ifndef ZPROXY_BASE_STDIO_FDS_H
#define ZPROXY_BASE_STDIO_FDS_H

/* To be called before anything is opened: where one of them is closed /dev/null takes its place,
 * the wrong way round, so that what is read or written there fails. Otherwise the next file that is
 * opened would be standard output, and get what is printed. Returns 0 or -errno. */
int stdio_fds_open(void);

#endif
