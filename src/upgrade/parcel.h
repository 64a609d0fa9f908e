/* Messages with descriptors between an old process and the new one that takes over from it: one
 * datagram of a SOCK_SEQPACKET pair each. See unix(7), SCM_RIGHTS.
 *
 * Both sides are the same program in two versions, but a message is checked like a stranger's:
 * nothing is believed that the head does not match.
 */
#ifndef ZPROXY_UPGRADE_PARCEL_H
#define ZPROXY_UPGRADE_PARCEL_H

#include <stddef.h>
#include <stdint.h>

#define PARCEL_VERSION 11  /* raised whenever a structure that travels changes: estate.h */
#define PARCEL_FDS     252 /* in one message at most; the kernel takes 253 */
#define PARCEL_BYTES   (96 * 1024)

enum parcel_type {
    PARCEL_OFFER, /* old: I can hand over. Counters of the process, its pid file. Answered by ACCEPT
                   */
    PARCEL_ACCEPT,   /* new: go on. Text: its version */
    PARCEL_REFUSE,   /* either: it cannot be, and why: text */
    PARCEL_CONFIG,   /* old: one configuration, a file; sessions name it by its number */
    PARCEL_SERVERS,  /* old: servers of pools, with their state */
    PARCEL_ANSWERS,  /* old: addresses of names in pools */
    PARCEL_SOCKET,   /* old: an address listened on, its descriptors */
    PARCEL_ADMIN,    /* old: the control socket, likewise */
    PARCEL_HANDED,   /* old: sockets of the service manager, each with its descriptor */
    PARCEL_ENTRANCE, /* old: counters of listeners */
    PARCEL_SETTLED,  /* old: sessions that relay, and go on here meanwhile */
    PARCEL_PREPARED, /* old: so far; answered by ACCEPT. From here on nothing moves */
    PARCEL_MOMENTS,  /* old: how the settled ones stand now */
    PARCEL_LATE,     /* old: sessions that were not settled, whole */
    PARCEL_ALL,      /* old: that is all. Answered by OWN */
    PARCEL_OWN,      /* new: they are mine now; the old one ends without touching them */
    PARCEL_LOG_LOSS, /* old: the last of all, from its end: log lines that it lost */
};

struct parcel {
    const char *wrong; /* of one that could not be received, -EBADMSG: what, for a message */
    uint16_t version;  /* of one that has come */
    uint16_t type;
    uint32_t count; /* of whatever the type has */
    size_t size;    /* bytes of data in use */
    size_t fd_count;
    int fd[PARCEL_FDS];
    char data[PARCEL_BYTES] __attribute__((aligned(8)));
};

/* In a word, for messages. */
const char *parcel_type_name(unsigned type);

void parcel_init(struct parcel *p, enum parcel_type type);

/* Adds an item of so many bytes with its descriptors, -1 for none of a place. Returns false when
 * there is no room. The descriptors stay the caller's. */
_Bool parcel_add(struct parcel *p, const void *item, size_t size, const int *fd, size_t fds);

/* Takes the items out again in the same order, with the same numbers of descriptors, which are the
 * caller's then; *at is 0 at first. Returns false when it does not match what was sent. */
struct parcel_place {
    size_t data;
    size_t fd;
};
_Bool parcel_take(struct parcel *p, struct parcel_place *at, void *item, size_t size, int *fd,
                  size_t fds);

/* Whether there is an end to a text that has come in so many bytes. */
_Bool parcel_is_text(const char *text, size_t size);

/* patience: how many ms the other one has to move; 0: as long as it takes. Return 0 or -errno:
 * -ETIMEDOUT when it does not, -EPIPE when it has gone, -EBADMSG when it talks nonsense,
 * -EPROTONOSUPPORT when it is another version.
 * Descriptors received are closed by parcel_close_rest() unless they were taken. */
#define PARCEL_PATIENCE 5000 /* ms */
int parcel_send(int sock, const struct parcel *p, unsigned patience);
int parcel_receive(int sock, struct parcel *p, unsigned patience);
void parcel_close_rest(struct parcel *p, const struct parcel_place *at);

#endif
