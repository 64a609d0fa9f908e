/* Copies of the figures of a session, without pointers, for another thread to read. */
#ifndef ZPROXY_SESSION_SESSION_INFO_H
#define ZPROXY_SESSION_SESSION_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/config.h"
#include "relay/sock_info.h"
#include "session/session.h"

/* A name; longer ones, which addresses can be, are cut. */
struct session_info_name {
    char text[CONFIG_NAME_MAX + 1];
};

struct session_info {
    uint64_t id;
    uint64_t age;  /* ms since it was accepted */
    uint64_t idle; /* ms since a byte moved */
    uint64_t up;   /* bytes delivered */
    uint64_t down;
    uint32_t server_serial; /* 0: no server */
    uint8_t state;          /* enum session_state */
    bool up_ended;
    bool down_ended;
    struct addr_peer client;
    struct session_info_name listener;
    struct session_info_name pool;
    struct session_info_name server; /* "": no server */
};

/* One direction at this moment. */
struct flow_info {
    uint64_t held;      /* bytes in the pipe, or that TLS in user space keeps */
    uint64_t pipe_size; /* 0: no pipe */
    bool copied;        /* not spliced */
    bool tls;           /* through user space, because TLS is there */
};

/* TLS with a peer. */
struct tls_info {
    const char *version; /* that was agreed; NULL: no TLS */
    const char *cipher;
    bool in_kernel;          /* the kernel encrypts, else user space */
    const char *user_reason; /* why user space: tls_user_reason_name(), or "deferred" */
};

struct session_detail {
    struct session_info info;
    uint64_t connect_time; /* ms until a server was reached; valid if connected */
    uint64_t attempts;
    bool connected;
    struct addr client_local; /* the address that the client connected to; len 0: unknown */
    struct addr server_local; /* the source address of the connection to the server */
    struct addr server_addr;
    struct tls_info client_tls;
    struct tls_info server_tls;
    struct flow_info up;
    struct flow_info down;
    struct sock_info client;
    struct sock_info server;
};

/* For the session's thread. */
void session_info(const struct session *s, struct session_info *info);
void session_detail(const struct session *s, struct session_detail *d);

const char *session_state_name(enum session_state state);

/* Which directions are still open: "both", "up", "down", "none". */
const char *session_open_name(const struct session_info *info);

#endif
