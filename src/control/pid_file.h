/* The file with the process's number. Whoever reads it finds one number and never less: not while
 * it is written, nor when a new program takes over from an old one. */
#ifndef ZPROXY_CONTROL_PID_FILE_H
#define ZPROXY_CONTROL_PID_FILE_H

struct pid_file {
    char *path; /* NULL: none is wanted */
    int fd;     /* the file that is there, open for who may not open it again; or -1 */
};

/* path: NULL: none. Returns 0 or -ENOMEM. */
int pid_file_init(struct pid_file *f, const char *path);
void pid_file_fini(struct pid_file *f);

/* Takes over the descriptor of the process before. */
void pid_file_adopt(struct pid_file *f, int fd);

/* Returns 0 or -errno. */
int pid_file_write(struct pid_file *f);

/* Removes it, where we may, if it is still the file that was written. */
void pid_file_remove(struct pid_file *f);

#endif
