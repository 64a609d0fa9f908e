/* Messages with descriptors between an old process and the new one that takes over from it: one
 * datagram of a SOCK_SEQPACKET pair each. See unix(7), SCM_RIGHTS.
 *
 * Both sides are the same program in two versions, but a message is checked like a stranger's:
 * nothing is believed that the head does not match.
 */
#ifndef ZPROXY_HANDOVER_HANDOVER_MESSAGE_H
#define ZPROXY_HANDOVER_HANDOVER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define HANDOVER_VERSION       11  /* raised whenever a structure that travels changes: estate.h */
#define HANDOVER_MESSAGE_FDS   252 /* in one message at most; the kernel takes 253 */
#define HANDOVER_MESSAGE_BYTES (96 * 1024)

enum handover_message_type {
    HANDOVER_OFFER,     /* old: I can hand over. Counters of the process, its pid file. Answered by
                         * ACCEPT
                         */
    HANDOVER_ACCEPT,    /* new: go on. Text: its version */
    HANDOVER_REFUSE,    /* either: it cannot be, and why: text */
    HANDOVER_CONFIG,    /* old: one configuration, a file; sessions name it by its number */
    HANDOVER_SERVERS,   /* old: servers of pools, with their state */
    HANDOVER_ANSWERS,   /* old: addresses of names in pools */
    HANDOVER_SOCKET,    /* old: an address listened on, its descriptors */
    HANDOVER_ADMIN,     /* old: the control socket, likewise */
    HANDOVER_INHERITED, /* old: sockets of the service manager, each with its descriptor */
    HANDOVER_LISTENERS, /* old: counters of listeners */
    HANDOVER_SESSIONS,  /* old: sessions that relay, and go on here meanwhile */
    HANDOVER_PREPARED,  /* old: so far; answered by ACCEPT. From here on nothing moves */
    HANDOVER_PROGRESS,  /* old: how the settled ones stand now */
    HANDOVER_LATE_SESSIONS, /* old: sessions that were not settled, whole */
    HANDOVER_COMPLETE,      /* old: that is all. Answered by OWN */
    HANDOVER_TAKEN_OVER,    /* new: they are mine now; the old one ends without touching them */
    PARCEL_LOG_LOSS,        /* old: the last of all, from its end: log lines that it lost */
};

struct handover_message {
    const char *problem; /* of one that could not be received, -EBADMSG: what, for a message */
    uint16_t version;    /* of one that has come */
    uint16_t type;
    uint32_t count; /* of whatever the type has */
    size_t size;    /* bytes of data in use */
    size_t fd_count;
    int fd[HANDOVER_MESSAGE_FDS];
    char data[HANDOVER_MESSAGE_BYTES] __attribute__((aligned(8)));
};

/* In a word, for messages. */
const char *handover_message_type_name(unsigned type);

void handover_message_init(struct handover_message *p, enum handover_message_type type);

/* Adds an item of so many bytes with its descriptors, -1 for none of a place. Returns false when
 * there is no room. The descriptors stay the caller's. */
_Bool handover_message_add(struct handover_message *p, const void *item, size_t size, const int *fd,
                           size_t fds);

/* Takes the items out again in the same order, with the same numbers of descriptors, which are the
 * caller's then; *at is 0 at first. Returns false when it does not match what was sent. */
struct handover_message_cursor {
    size_t data;
    size_t fd;
};
_Bool handover_message_take(struct handover_message *p, struct handover_message_cursor *at,
                            void *item, size_t size, int *fd, size_t fds);

/* Whether there is an end to a text that has come in so many bytes. */
_Bool handover_text_is_terminated(const char *text, size_t size);

/* patience: how many ms the other one has to move; 0: as long as it takes. Return 0 or -errno:
 * -ETIMEDOUT when it does not, -EPIPE when it has gone, -EBADMSG when it talks nonsense,
 * -EPROTONOSUPPORT when it is another version.
 * Descriptors received are closed by handover_message_close_rest() unless they were taken. */
#define HANDOVER_TIMEOUT_MS 5000 /* ms */
int handover_message_send(int sock, const struct handover_message *p, unsigned timeout_ms);
int handover_message_receive(int sock, struct handover_message *p, unsigned timeout_ms);
void handover_message_close_rest(struct handover_message *p,
                                 const struct handover_message_cursor *at);

#endif
