/* Tells the service manager how it stands: sd_notify(3), which is a datagram and needs no library.
 */
#ifndef ZPROXY_CONTROL_NOTIFY_H
#define ZPROXY_CONTROL_NOTIFY_H

struct notify {
    int fd; /* -1: nobody wants to know */
};

/* Connects to $NOTIFY_SOCKET, before chroot(2) hides it. Without one all calls do nothing. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Sends lines such as "READY=1\nSTATUS=...", as for printf(3). Never blocks; a lost message is not
 * our trouble. */
void notify_send(struct notify *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
