#include "handover/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_MS          5000 /* for a killed process to die; only a stuck kernel takes longer */
#define EXIT_CANNOT_EXEC 127

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

bool spawn_has_manager(void)
{
    const char *text = getenv(SPAWN_PID_VARIABLE);
    return getppid() == 1 || (text != NULL && atoll(text) == getpid());
}

/* ---- in the new process: only system calls, because another thread may have held any lock of the
 * C library at the clone(2) ---- */

struct program {
    const char *path;
    char *const *argv;
    char *const *env;
    char *pid_variable; /* where to write the number in env; NULL: env has no such variable */
    int sock;
    int report;
};

static void write_number(char *at, unsigned long n)
{
    char digits[24];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    *at = '\0';
}

/* Resets all actions to the default (zeros in the kernel's struct sigaction) and blocks the signals
 * that would kill the program before it has its handlers. */
static void reset_signals(void)
{
    static const int blocked[] = { SIGHUP, SIGUSR1, SIGUSR2 };
    static const unsigned char zeros[64];
    sigset_t mask;
    for (int number = 1; number < 32; number++)
        if (number != SIGKILL && number != SIGSTOP)
            (void)syscall(SYS_rt_sigaction, number, zeros, NULL, _NSIG / 8);
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
        sigaddset(&mask, blocked[i]);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, _NSIG / 8);
}

static int dup_socket(int sock)
{
    if (sock != SPAWN_SOCKET)
        return syscall(SYS_dup3, sock, SPAWN_SOCKET, 0) == -1 ? errno : 0;
    return syscall(SYS_fcntl, sock, F_SETFD, 0) == -1 ? errno : 0;
}

static void __attribute__((noreturn)) spawn_exec(const struct program *p)
{
    int error = dup_socket(p->sock);
    if (error == 0) {
        if (p->pid_variable != NULL)
            write_number(p->pid_variable, (unsigned long)syscall(SYS_getpid));
        reset_signals();
        (void)syscall(SYS_execve, p->path, p->argv, p->env);
        error = errno;
    }
    (void)!syscall(SYS_write, p->report, &error, sizeof error);
    for (;;)
        (void)syscall(SYS_exit_group, EXIT_CANNOT_EXEC);
}

/* ---- in this process ---- */

static int clone_process(int flags, int *fd)
{
    unsigned long all = (unsigned long)flags | CLONE_PIDFD | SIGCHLD;
#if defined __s390__ || defined __CRIS__
    long pid = syscall(SYS_clone, 0L, all, fd, NULL, 0L);
#else
    long pid = syscall(SYS_clone, all, 0L, fd, NULL, 0L);
#endif
    return pid == -1 ? -errno : (int)pid;
}

/* Returns the errno of the failed execve(2); 0: the pipe was closed by a successful one. */
static int read_report(int fd)
{
    int error = 0;
    ssize_t n;
    do
        n = read(fd, &error, sizeof error);
    while (n == -1 && errno == EINTR);
    return n == (ssize_t)sizeof error ? error : 0;
}

/* The writing end is above SPAWN_SOCKET, which the new process overwrites. */
static int open_report(int report[2])
{
    if (pipe2(report, O_CLOEXEC) == -1)
        return -errno;
    int moved = fcntl(report[1], F_DUPFD_CLOEXEC, SPAWN_SOCKET + 1);
    int rc = moved == -1 ? -errno : 0;
    close(report[1]);
    report[1] = moved;
    if (rc < 0)
        close(report[0]);
    return rc;
}

static char *find_pid_variable(char *const *env)
{
    static const char name[] = SPAWN_PID_VARIABLE "=";
    for (; *env != NULL; env++)
        if (strncmp(*env, name, sizeof name - 1) == 0)
            return *env;
    return NULL;
}

/* Returns env, or a copy in *own_env that has text in place of the variable; the new process
 * appends its number to text. NULL when out of memory. */
static char *const *with_pid_variable(char *const *env, char text[64], char ***own_env)
{
    size_t count = 0;
    const char *found = find_pid_variable(env);
    if (found == NULL)
        return env;
    while (env[count] != NULL)
        count++;
    *own_env = calloc(count + 1, sizeof(char *));
    if (*own_env == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        (*own_env)[i] = env[i] == found ? text : env[i];
    snprintf(text, 64, SPAWN_PID_VARIABLE "=");
    return *own_env;
}

static int spawn_clone(struct spawn *s, const struct program *p, int report[2])
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no signal handler may run in the new process */
    int pid = clone_process(s->sibling ? CLONE_PARENT : 0, &s->fd);
    if (pid == 0)
        spawn_exec(p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0)
        return pid;
    if (s->fd != -1) {
        s->pid = pid;
        return -read_report(report[0]);
    }
    kill(pid, SIGKILL); /* Linux before 5.2 has no CLONE_PIDFD */
    (void)waitpid(pid, NULL, 0);
    return -ENOSYS;
}

int spawn_start(struct spawn *s, const char *path, char *const *argv, char *const *env, int sock,
                bool sibling)
{
    char text[64];
    char **own_env = NULL;
    int report[2];
    *s = (struct spawn){ .fd = -1, .sibling = sibling };
    struct program p = { .path = path, .argv = argv, .sock = sock };
    p.env = with_pid_variable(env, text, &own_env);
    if (p.env == NULL)
        return -ENOMEM;
    p.pid_variable = own_env == NULL ? NULL : text + strlen(text);
    int rc = open_report(report);
    if (rc == 0) {
        p.report = report[1];
        rc = spawn_clone(s, &p, report);
        close(report[0]);
    }
    free(own_env);
    if (rc < 0) {
        spawn_kill(s);
        spawn_close(s);
    }
    return rc;
}

void spawn_signal(const struct spawn *s, int number)
{
    if (s->pid != 0)
        (void)syscall(SYS_pidfd_send_signal, s->fd, number, NULL, 0);
}

bool spawn_is_running(const struct spawn *s)
{
    struct pollfd ended = { .fd = s->fd, .events = POLLIN };
    return s->pid != 0 && poll(&ended, 1, 0) == 0;
}

/* Needed because libuv has made the descriptor non-blocking, and waitid(2) returns EAGAIN then. */
static void spawn_await_end(const struct spawn *s)
{
    struct pollfd ended = { .fd = s->fd, .events = POLLIN };
    while (poll(&ended, 1, KILL_MS) == -1 && errno == EINTR)
        ;
}

/* Returns false when info is not filled in: only the parent can wait for a sibling. */
static bool wait_exit(struct spawn *s, siginfo_t *info)
{
    memset(info, 0, sizeof *info);
    spawn_await_end(s);
    s->pid = 0;
    return !s->sibling && waitid((idtype_t)P_PIDFD, (id_t)s->fd, info, WEXITED) == 0;
}

void spawn_reap(struct spawn *s, char *how, size_t size)
{
    siginfo_t info;
    if (!wait_exit(s, &info))
        snprintf(how, size, "the new program has ended");
    else if (info.si_code == CLD_EXITED)
        snprintf(how, size, "the new program ended with status %d", info.si_status);
    else
        snprintf(how, size, "the new program was ended by signal %d", info.si_status);
}

void spawn_kill(struct spawn *s)
{
    siginfo_t info;
    if (s->pid == 0)
        return;
    spawn_signal(s, SIGKILL);
    (void)wait_exit(s, &info);
}

void spawn_close(struct spawn *s)
{
    if (s->fd != -1)
        close(s->fd);
    s->fd = -1;
}
