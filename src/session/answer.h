/* A session whose whole answer is a file: sent by sendfile(2), then the client's end is awaited.
 *
 * What the client sends meanwhile is dropped, since closing with unread bytes would be a reset
 * that could overtake the end of the answer (RFC 9293, 3.6.1; RFC 1122, 4.2.2.13).
 */
#ifndef ZPROXY_SESSION_ANSWER_H
#define ZPROXY_SESSION_ANSWER_H

#include "session/session.h"

enum answer_result {
    ANSWER_WAIT,  /* nothing more can be done now, or the session has ended */
    ANSWER_AGAIN, /* enough for one wake-up: call again when others have had their turn */
};

/* With s->file, whose reference is the session's. In SESSION_ANSWERING from here on. */
enum answer_result answer_begin(struct session *s);

/* The client's socket has said something, or it is the session's turn again. */
enum answer_result answer_process(struct session *s);

#endif
