/* The local syslog daemon, without ever waiting for it.
 *
 * syslog(3) takes a lock and blocks while the daemon's queue is full: a daemon that stands still
 * would stop every session. Here a datagram that does not go at once is the caller's to count.
 */
#ifndef ZPROXY_BASE_SYSLOGGER_H
#define ZPROXY_BASE_SYSLOGGER_H

#include <stddef.h>
#include <stdint.h>

/* Connects to /dev/log, before chroot(2) hides it; a daemon that is not there yet is looked for
 * with each line. Returns 0 or -errno. May be called again. */
int syslogger_open(void);
void syslogger_close(void);

/* Sends one line, RFC 3164, as "zproxy[PID]". priority: facility and severity of <syslog.h>.
 * seconds: when it was written, since the epoch. Returns 0: the daemon has it; -EAGAIN: its queue
 * is full; or -errno. From any thread. */
int syslogger_send(int priority, uint64_t seconds, const char *text, size_t len);

/* The socket, for poll(2). */
int syslogger_fd(void);

#endif
