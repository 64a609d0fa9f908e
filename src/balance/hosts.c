#include "balance/hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_stamp.h"
#include "base/hash.h"

#define NAME_MAX_LEN 255
#define BLANKS       " \t\r\v\f"

struct address {
    bool in6;
    union {
        struct in_addr in;
        struct in6_addr in6_addr;
    };
};

/* A name at an address. */
struct entry {
    uint32_t hash; /* of the name in lower case */
    uint32_t name; /* offset in the text */
    uint32_t address;
    uint32_t order; /* of entries in the file */
};

/* The contents of the file; entries are sorted by hash, then by order. */
struct table {
    char *text; /* of the file; names are NUL-terminated in place */
    struct address *address;
    size_t address_count, address_room;
    struct entry *entry;
    size_t count, room;
};

/* A read in progress. It belongs to the thread of the pool until hosts_on_read() is called. */
struct reading {
    uv_work_t work;
    struct hosts *hosts; /* NULL: hosts_close() was called */
    struct table table;
    struct file_stamp stamp;
    int error;
    char path[];
};

struct hosts {
    uv_loop_t *loop;
    hosts_changed_fn *changed;
    void *arg;
    struct table table;
    struct file_stamp stamp; /* of the file when it was read; all zero: no file */
    struct reading *reading;
    bool ready;
    char path[];
};

/* ---- the table ---- */

static void table_free(struct table *t)
{
    free(t->text);
    free(t->address);
    free(t->entry);
    *t = (struct table){ .text = NULL };
}

static uint32_t hash_name(const char *name, size_t n)
{
    char lower[NAME_MAX_LEN];
    for (size_t i = 0; i < n; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
    return (uint32_t)hash_bytes(lower, n);
}

static void *grown(void *list, size_t *room, size_t size)
{
    size_t more = *room == 0 ? 64 : 2 * *room;
    void *new = reallocarray(list, more, size);
    if (new != NULL)
        *room = more;
    return new;
}

static int hosts_add_address(struct table *t, const char *text)
{
    struct address a = { .in6 = false };
    if (inet_pton(AF_INET, text, &a.in) != 1) {
        a.in6 = true;
        if (inet_pton(AF_INET6, text, &a.in6_addr) != 1)
            return -EINVAL;
    }
    if (t->address_count == t->address_room) {
        struct address *list = grown(t->address, &t->address_room, sizeof *list);
        if (list == NULL)
            return -ENOMEM;
        t->address = list;
    }
    t->address[t->address_count++] = a;
    return 0;
}

static int hosts_add_name(struct table *t, const char *name)
{
    size_t n = strlen(name);
    if (n > NAME_MAX_LEN)
        return 0;
    if (t->count == t->room) {
        struct entry *list = grown(t->entry, &t->room, sizeof *list);
        if (list == NULL)
            return -ENOMEM;
        t->entry = list;
    }
    t->entry[t->count] = (struct entry){
        .hash = hash_name(name, n),
        .name = (uint32_t)(name - t->text),
        .address = (uint32_t)t->address_count - 1,
        .order = (uint32_t)t->count,
    };
    t->count++;
    return 0;
}

/* "ADDRESS NAME..."; the names stay in the text. A line without an address at its start is ignored.
 */
static int hosts_add_line(struct table *t, char *line)
{
    char *rest = NULL;
    line[strcspn(line, "#")] = '\0';
    const char *word = strtok_r(line, BLANKS, &rest);
    if (word == NULL)
        return 0;
    int rc = hosts_add_address(t, word);
    if (rc == -EINVAL)
        return 0;
    while (rc == 0 && (word = strtok_r(NULL, BLANKS, &rest)) != NULL)
        rc = hosts_add_name(t, word);
    return rc;
}

static int hosts_compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* The table owns text, which has size bytes and a NUL. */
static int table_fill(struct table *t, char *text, size_t size)
{
    int rc = 0;
    t->text = text;
    for (char *line = text, *end = NULL; rc == 0 && line < text + size; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + size - line));
        if (end == NULL)
            end = text + size;
        *end = '\0';
        rc = hosts_add_line(t, line);
    }
    if (rc == 0 && t->count > 0)
        qsort(t->entry, t->count, sizeof *t->entry, hosts_compare_entries);
    return rc;
}

/* ---- the file ---- */

/* Returns the number of bytes, or -errno. */
static ssize_t hosts_read_all(int fd, char *text, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, text + got, size - got);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int read_open(struct reading *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == -1)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    r->stamp = file_stamp_of(&st);
    size_t size = st.st_size < HOSTS_SIZE_MAX ? (size_t)st.st_size : HOSTS_SIZE_MAX;
    char *text = malloc(size + 1);
    if (text == NULL)
        return -ENOMEM;
    ssize_t n = hosts_read_all(fd, text, size);
    if (n < 0) {
        free(text);
        return (int)n;
    }
    text[n] = '\0';
    return table_fill(&r->table, text, (size_t)n);
}

/* In a thread of the pool. A missing file has no names. */
static void on_work(uv_work_t *work)
{
    struct reading *r = work->data;
    int fd = open(r->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd == -1) {
        r->error = errno == ENOENT ? 0 : -errno;
        return;
    }
    r->error = read_open(r, fd);
    close(fd);
}

/* If the file could not be read, the former table stays until the file changes again. */
static void hosts_on_read(uv_work_t *work, int status)
{
    struct reading *r = work->data;
    struct hosts *h = r->hosts;
    bool good = status == 0 && r->error == 0;
    bool news = h != NULL && (good || !h->ready);
    if (h != NULL) {
        h->reading = NULL;
        h->ready = true;
        h->stamp = r->stamp;
    }
    if (h != NULL && good) {
        struct table old = h->table;
        h->table = r->table;
        r->table = old;
    }
    table_free(&r->table);
    free(r);
    if (news)
        h->changed(h->arg);
}

/* ---- open and close ---- */

int hosts_open(struct hosts **out, uv_loop_t *loop, const char *path, hosts_changed_fn *changed,
               void *arg)
{
    size_t n = strlen(path) + 1;
    struct hosts *h = calloc(1, sizeof *h + n);
    if (h == NULL)
        return -ENOMEM;
    h->loop = loop;
    h->changed = changed;
    h->arg = arg;
    memcpy(h->path, path, n);
    *out = h;
    return 0;
}

void hosts_close(struct hosts *h)
{
    if (h == NULL)
        return;
    if (h->reading != NULL) {
        h->reading->hosts = NULL;
        (void)uv_cancel((uv_req_t *)&h->reading->work); /* if it runs already, it ends soon */
    }
    table_free(&h->table);
    free(h);
}

/* libuv starts its threads with the first request, and they inherit the signal mask: a signal to
 * one of them would end the process once its handler is closed. */
static int queue_work(uv_loop_t *loop, uv_work_t *work)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = uv_queue_work(loop, work, on_work, hosts_on_read);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void start_reading(struct hosts *h, const struct file_stamp *seen)
{
    size_t n = strlen(h->path) + 1;
    struct reading *r = calloc(1, sizeof *r + n);
    if (r == NULL)
        return; /* hosts_check() tries again */
    r->hosts = h;
    r->stamp = *seen;
    r->work.data = r;
    memcpy(r->path, h->path, n);
    if (queue_work(h->loop, &r->work) < 0)
        free(r);
    else
        h->reading = r;
}

void hosts_check(struct hosts *h)
{
    if (h->reading != NULL)
        return;
    struct file_stamp now = file_stamp_get(h->path);
    if (!h->ready || !file_stamp_equal(&now, &h->stamp))
        start_reading(h, &now);
}

bool hosts_ready(const struct hosts *h)
{
    return h->ready;
}

/* ---- names ---- */

static bool is_localhost(const char *name)
{
    const char suffix[] = ".localhost";
    size_t n = strlen(name);
    return strcasecmp(name, suffix + 1) == 0 ||
           (n >= sizeof suffix && strcasecmp(name + n - strlen(suffix), suffix) == 0);
}

static size_t find_localhost(hosts_found_fn *found, void *arg)
{
    const struct sockaddr_in in = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    found(arg, (const struct sockaddr *)&in);
    found(arg, (const struct sockaddr *)&in6);
    return 2;
}

static void hosts_report(const struct address *a, hosts_found_fn *found, void *arg)
{
    const struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = a->in };
    const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = a->in6_addr };
    found(arg, a->in6 ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in);
}

/* The first entry with this hash or a greater one. */
static size_t first_of(const struct table *t, uint32_t hash)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->entry[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t hosts_find(const struct hosts *h, const char *name, hosts_found_fn *found, void *arg)
{
    const struct table *t = &h->table;
    char copy[NAME_MAX_LEN + 1];
    size_t n = strlen(name);
    size_t count = 0;
    if (n > 0 && name[n - 1] == '.') /* names in the file have no last dot */
        n--;
    if (n > NAME_MAX_LEN)
        return 0;
    memcpy(copy, name, n);
    copy[n] = '\0';
    uint32_t hash = hash_name(copy, n);
    for (size_t i = first_of(t, hash); i < t->count && t->entry[i].hash == hash; i++)
        if (strcasecmp(t->text + t->entry[i].name, copy) == 0) {
            hosts_report(&t->address[t->entry[i].address], found, arg);
            count++;
        }
    return count == 0 && is_localhost(copy) ? find_localhost(found, arg) : count;
}
