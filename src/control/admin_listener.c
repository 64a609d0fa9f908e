#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop_watch.h"
#include "control/admin_internal.h"
#include "relay/sock.h"

#define BACKLOG  511
#define RETRY_MS 100 /* until a paused listener accepts again */
#define ACCEPTS  16  /* clients accepted in one wake-up of the loop */

/* ---- accepting ---- */

static void admin_on_retry(uv_timer_t *timer)
{
    const struct admin_listener *listener = timer->data;
    admin_resume(listener->admin);
}

/* Clients stay in the backlog. The poll handle is stopped: it would wake the loop again at once. */
static void admin_pause(struct admin_listener *listener)
{
    listener->paused = true;
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->retry, admin_on_retry, RETRY_MS, 0);
}

static int accept_one(const struct admin_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return fd == -1 ? -errno : fd;
}

/* Before a client is evicted: accept4(2) fails for lack of a descriptor also when no client waits.
 */
static bool has_waiting_client(const struct admin_listener *listener)
{
    struct pollfd query = { .fd = listener->fd, .events = POLLIN };
    return poll(&query, 1, 0) == 1;
}

/* When no descriptor is left, the reserved one is used, else that of an evicted client. */
static int accept_client(struct admin_listener *listener)
{
    int fd = accept_one(listener);
    if (fd != -EMFILE && fd != -ENFILE)
        return fd;
    if (!has_waiting_client(listener))
        return -EAGAIN;
    return fd_reserve_release(&listener->fd_reserve) || admin_evict(listener->admin)
               ? accept_one(listener)
               : fd;
}

/* Returns whether another client may be there. */
static bool admin_accept(struct admin_listener *listener)
{
    if (listener->admin->count >= ADMIN_CLIENTS_MAX) {
        if (!has_waiting_client(listener))
            return false;
        if (!admin_evict(listener->admin)) {
            admin_pause(listener);
            return false;
        }
    }
    struct admin_client *c = calloc(1, sizeof *c);
    int fd = c == NULL ? -ENOMEM : accept_client(listener);
    if (fd >= 0) {
        admin_open_client(c, listener, fd);
        return true;
    }
    free(c);
    if (fd == -ECONNABORTED || fd == -EINTR)
        return true;
    if (fd != -EAGAIN) /* any other error may last, and would come back at once */
        admin_pause(listener);
    return false;
}

static void admin_on_connection(uv_poll_t *poll, int status, int events)
{
    struct admin_listener *listener = poll->data;
    (void)status;
    (void)events;
    for (int n = 0; n < ACCEPTS && admin_accept(listener); n++) {
    }
}

void admin_resume(struct admin *a)
{
    struct admin_listener *listener = a->listener;
    if (listener == NULL || !listener->paused ||
        uv_is_closing((const uv_handle_t *)&listener->poll))
        return;
    listener->paused = false;
    uv_timer_stop(&listener->retry);
    uv_poll_start(&listener->poll, UV_READABLE, admin_on_connection);
}

/* ---- open and close ---- */

static void admin_on_listener_closed(uv_handle_t *handle)
{
    struct admin_listener *listener = handle->data;
    if (--listener->handles == 0)
        free(listener);
}

static int admin_open_listener(struct admin *a, int fd, const struct addr *at,
                               const struct file_id *file, struct admin_listener **out)
{
    struct admin_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return -ENOMEM;
    listener->admin = a;
    listener->at = *at;
    listener->file = *file;
    listener->fd = fd;
    listener->fd_reserve.fd = -1;
    int rc = uv_poll_init(a->loop, &listener->poll, fd);
    if (rc < 0) {
        free(listener);
        return rc;
    }
    uv_timer_init(a->loop, &listener->retry);
    listener->poll.data = listener->retry.data = listener;
    listener->handles = 2;
    (void)fd_reserve_fill(&listener->fd_reserve);
    *out = listener;
    return 0;
}

/* Also removes the socket's file. */
static void admin_close_listener(struct admin_listener *listener)
{
    if (listener == NULL)
        return;
    unix_socket_unlink(&listener->at, &listener->file);
    uv_close((uv_handle_t *)&listener->poll, admin_on_listener_closed);
    uv_close((uv_handle_t *)&listener->retry, admin_on_listener_closed);
    close(listener->fd);
    (void)fd_reserve_release(&listener->fd_reserve);
}

void admin_free_listener(struct admin_listener *listener)
{
    if (listener == NULL)
        return;
    close(listener->fd);
    (void)fd_reserve_release(&listener->fd_reserve);
    free(listener);
}

static int admin_start_listening(struct admin_listener *listener)
{
    int rc = loop_watch_check(listener->admin->loop, listener->fd);
    if (rc == 0 && listen(listener->fd, BACKLOG) == -1)
        rc = -errno;
    return rc < 0 ? rc : uv_poll_start(&listener->poll, UV_READABLE, admin_on_connection);
}

/* ---- a change of the socket ---- */

struct admin_change {
    struct admin *admin;
    bool stays; /* the listener that the admin has */
    struct admin_listener *listener;
    unsigned mode;
};

static int admin_open_socket(const struct admin_address *address, struct file_id *file)
{
    const struct unix_owner owner = { address->owner, address->group };
    const struct sock_options options = { .mode = address->mode, .owner = &owner };
    int rc = sock_probe(&address->at, NULL);
    return rc < 0 ? rc : sock_bind(&address->at, &options, file);
}

static int admin_print_error(FILE *errors, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    fprintf(errors, "[admin] socket: %s: %s\n", addr_print(at, text), sock_bind_strerror(rc));
    return -1;
}

static int admin_make_listener(struct admin_change *ch, const struct admin_address *address)
{
    struct file_id file;
    int fd = admin_open_socket(address, &file);
    if (fd < 0)
        return fd;
    int rc = admin_open_listener(ch->admin, fd, &address->at, &file, &ch->listener);
    if (rc < 0) {
        unix_socket_unlink(&address->at, &file);
        close(fd);
    }
    return rc;
}

/* If the file of the socket was removed by others, makes the socket again. If that fails, a warning
 * is logged and the change goes on. */
static int admin_prepare_listener(struct admin_change *ch, const struct admin_address *address)
{
    const struct admin_listener *now = ch->admin->listener;
    ch->stays = now != NULL && addr_equal(&now->at, &address->at);
    if (!ch->stays)
        return admin_make_listener(ch, address);
    int rc = unix_socket_check(&now->at, &now->file);
    if (rc == -ENOENT && (rc = admin_make_listener(ch, address)) == 0)
        ch->stays = false;
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "socket_file", "%s: cannot be reached: %s",
                address->at.un.sun_path, safe_open_strerror(rc));
    return 0;
}

int admin_prepare(struct admin *a, const struct admin_address *address, FILE *errors,
                  struct admin_change **change)
{
    struct admin_change *ch = calloc(1, sizeof *ch);
    if (ch == NULL)
        return admin_print_error(errors, &address->at, -ENOMEM);
    ch->admin = a;
    ch->mode = address->mode;
    int rc = address->at.len == 0 ? 0 : admin_prepare_listener(ch, address);
    if (rc < 0) {
        free(ch);
        return admin_print_error(errors, &address->at, rc);
    }
    *change = ch;
    return 0;
}

int admin_listen(struct admin_change *ch, FILE *errors)
{
    int rc = ch->listener == NULL ? 0 : admin_start_listening(ch->listener);
    return rc < 0 ? admin_print_error(errors, &ch->listener->at, rc) : 0;
}

void admin_abort(struct admin_change *ch)
{
    if (ch == NULL)
        return;
    admin_close_listener(ch->listener);
    free(ch);
}

void admin_commit(struct admin_change *ch)
{
    struct admin *a = ch->admin;
    if (ch->stays) {
        /* fails where privileges have been dropped: the mode stays */
        (void)unix_socket_set_mode(&a->listener->at, &a->listener->file, ch->mode);
    } else {
        admin_close_listener(a->listener);
        a->listener = ch->listener;
    }
    free(ch);
}

/* ---- handover ---- */

int admin_socket(const struct admin *a, struct addr *at, struct file_id *file)
{
    if (a == NULL || a->listener == NULL)
        return -1;
    *at = a->listener->at;
    *file = a->listener->file;
    return a->listener->fd;
}

int admin_adopt(struct admin *a, const struct addr *at, const struct file_id *file, int fd)
{
    int rc = admin_open_listener(a, fd, at, file, &a->listener);
    if (rc < 0)
        close(fd);
    else
        rc = admin_start_listening(a->listener);
    return rc;
}

void admin_unlink(const struct admin *a)
{
    if (a != NULL && a->listener != NULL)
        unix_socket_unlink(&a->listener->at, &a->listener->file);
}
