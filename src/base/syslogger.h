/* Sends lines to the local syslog daemon without waiting for it.
 *
 * syslog(3) takes a lock and blocks while the queue of the daemon is full, so that a daemon that
 * hangs would stop every thread that logs. Here the caller gets -EAGAIN instead. One socket per
 * process.
 */
#ifndef ZPROXY_BASE_SYSLOGGER_H
#define ZPROXY_BASE_SYSLOGGER_H

#include <stddef.h>
#include <stdint.h>

/* Opens the socket and connects it to /dev/log; call it before chroot(2). If there is no daemon
 * yet, each line tries to connect again. May be called several times: the socket stays open until
 * each successful call has been followed by syslogger_close(). Returns 0 or -errno. Both functions
 * must be called by the same thread. */
int syslogger_open(void);
void syslogger_close(void);

/* Sends one line in the format of RFC 3164, as "zproxy[PID]". priority: facility and severity of
 * <syslog.h>. seconds: the time of the line, since the epoch. Returns 0; -EAGAIN: the queue of the
 * daemon is full; or -errno. From any thread. */
int syslogger_send(int priority, uint64_t seconds, const char *text, size_t len);

/* The socket, for poll(2). */
int syslogger_fd(void);

#endif
