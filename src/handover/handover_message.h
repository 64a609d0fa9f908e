/* One message of a handover, with descriptors: a datagram of a SOCK_SEQPACKET pair between the old
 * process and the new one. See unix(7), SCM_RIGHTS. handover/upgrade.h has the sequence of
 * messages.
 *
 * Both ends run zproxy, perhaps in two versions; a received message is nevertheless checked as
 * untrusted input.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_MESSAGE_H
#define ZPROXY_HANDOVER_HANDOVER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define HANDOVER_VERSION       25  /* raise it with every change of handover_messages.h's layout */
#define HANDOVER_MESSAGE_FDS   252 /* descriptors in one message; the kernel's limit is 253 */
#define HANDOVER_MESSAGE_BYTES (96 * 1024)

/* In comments: the sender, the contents. */
enum handover_message_type {
    HANDOVER_OFFER,     /* old: the process's counters, the pid file. Again before COMPLETE */
    HANDOVER_ACCEPT,    /* new: continue. At first with a text, the version of its program */
    HANDOVER_REFUSE,    /* both: the handover is over. A text, the reason */
    HANDOVER_CONFIG,    /* old: a configuration, as a file */
    HANDOVER_SERVERS,   /* old: servers of pools with their state and counters */
    HANDOVER_ANSWERS,   /* old: addresses that names in pools resolved to */
    HANDOVER_SOCKET,    /* old: a listening address with its descriptors */
    HANDOVER_ADMIN,     /* old: the control socket */
    HANDOVER_INHERITED, /* old: sockets that the service manager had passed */
    HANDOVER_LISTENERS, /* old: counters of listeners */
    HANDOVER_POOLS,     /* old: state of pools */
    HANDOVER_SESSIONS,  /* old: sessions whose setup is final; they still run in the old process */
    HANDOVER_PREPARED,  /* old: sent all that can be sent before its workers are paused */
    HANDOVER_PROGRESS,  /* old, workers paused: the progress of sessions in SESSIONS */
    HANDOVER_LATE_SESSIONS, /* old, workers paused: all other sessions, setup and progress */
    HANDOVER_COMPLETE,      /* old: sent everything */
    HANDOVER_TAKEN_OVER,    /* new: has everything; old, in return: will not touch it again */
    HANDOVER_LOG_LOSS,      /* old, at its end: log lines that it lost */
    HANDOVER_TLS,           /* old, before the last OFFER: TLS of these sessions, in their order */
    HANDOVER_STAYING,       /* old, until its end: sessions that it has kept */
};

struct handover_message {
    const char *problem; /* why a message could not be received (-EBADMSG), for the log */
    uint16_t version;    /* of a received message */
    uint16_t type;
    uint32_t count; /* items */
    size_t size;    /* bytes used of data */
    size_t fd_count;
    int fd[HANDOVER_MESSAGE_FDS];
    char data[HANDOVER_MESSAGE_BYTES] __attribute__((aligned(8)));
};

/* The name of a type, for error messages. */
const char *handover_message_type_name(unsigned type);

void handover_message_init(struct handover_message *m, enum handover_message_type type);

/* Appends an item of size bytes with its descriptors; -1 stands for one that is absent. Returns
 * false when the message has no room. The descriptors stay open and the caller's. */
_Bool handover_message_add(struct handover_message *m, const void *item, size_t size, const int *fd,
                           size_t fds);

/* How much of a received message has been taken: bytes and descriptors. Starts as { 0, 0 }. */
struct handover_message_cursor {
    size_t data;
    size_t fd;
};
/* Takes the next item. size and fds must be those of handover_message_add(); the caller owns the
 * descriptors from then on. Returns false when the message does not contain such an item. */
_Bool handover_message_take(struct handover_message *m, struct handover_message_cursor *at,
                            void *item, size_t size, int *fd, size_t fds);

/* Whether a received text has a NUL within its size bytes. */
_Bool handover_text_is_terminated(const char *text, size_t size);

/* Block for at most timeout_ms; 0: without limit. Return 0 or -errno: -ETIMEDOUT; -EPIPE when the
 * peer has closed the socket; -EBADMSG when the message is malformed; -EPROTONOSUPPORT when it is
 * of another version. A received message owns its descriptors: pass it to
 * handover_message_close_rest() after the items are taken. */
#define HANDOVER_TIMEOUT_MS 5000 /* ms */
int handover_message_send(int sock, const struct handover_message *m, unsigned timeout_ms);
int handover_message_receive(int sock, struct handover_message *m, unsigned timeout_ms);
void handover_message_close_rest(struct handover_message *m,
                                 const struct handover_message_cursor *at);

#endif
