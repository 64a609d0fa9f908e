/* Whose a file is that zproxy has made, and who else may use it. */
#ifndef ZPROXY_CONTROL_FILE_OWNER_H
#define ZPROXY_CONTROL_FILE_OWNER_H

/* mode 0, user NULL, group NULL: that stays as it is. Names or numbers. Returns 0 or -errno;
 * -ENOENT: no such user or group. */
int file_owner_set(const char *path, unsigned mode, const char *user, const char *group);

#endif
