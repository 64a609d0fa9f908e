/* The file with the process id. A reader finds a whole number at any time, also while the file is
 * written and while a new process takes over from an old one. For the control thread. */
#ifndef ZPROXY_CONTROL_PID_FILE_H
#define ZPROXY_CONTROL_PID_FILE_H

struct pid_file {
    char *path; /* NULL: none is wanted */
    int fd; /* of the file that was written, kept open since privileges to open it may be dropped;
               -1: none */
};

/* path NULL: no file. Returns 0 or -ENOMEM. */
int pid_file_init(struct pid_file *f, const char *path);
void pid_file_fini(struct pid_file *f);

/* For a handover: takes ownership of the descriptor of the old process. */
void pid_file_adopt(struct pid_file *f, int fd);

/* Returns 0 or -errno. */
int pid_file_write(struct pid_file *f);

/* Removes the file if it is still the one that was written; ignores failures. */
void pid_file_remove(struct pid_file *f);

#endif
