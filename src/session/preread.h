/* What comes before a session may look for its server: the PROXY header of a proxy in front, the
 * hello of a TLS client.
 *
 * The header is read as far as it goes and not one byte further; the hello is only looked at
 * (MSG_PEEK) and relayed as it came. While something is missing the client's next event is awaited:
 * the event set is edge-triggered, so what lies there unread does not wake anybody up.
 */
#ifndef ZPROXY_SESSION_PREREAD_H
#define ZPROXY_SESSION_PREREAD_H

#include "session/session.h"

enum preread_result {
    PREREAD_WAITS,
    PREREAD_DONE, /* the session's pool and client are known: it may connect */
    PREREAD_ENDED,
};

/* Whether there is anything to wait for. */
bool preread_is_wanted(const struct frontend *frontend);

/* In SESSION_PREREADING from here on, unless all is there already. */
enum preread_result preread_begin(struct session *s);

/* In SESSION_PREREADING: the client has said something; wait_until is past. */
enum preread_result preread_process(struct session *s);
enum preread_result preread_expire(struct session *s);

#endif
