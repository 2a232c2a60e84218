/* A disk that refuses to be written, for one process (LD_PRELOAD): while the file FAULT_ERROR holds a number, whatever would write below FAULT_FOLDER fails with it.
 * A disk that the system has made read-only under an open file looks so, and can't be had by mounting. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int fault(const char *path)
{
    const char *folder = getenv("FAULT_FOLDER"), *control = getenv("FAULT_ERROR");
    char text[16] = "";
    if (!folder || !control || strncmp(path, folder, strlen(folder)) != 0)
        return 0;
    int before = errno;
    long file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (file >= 0) {
        if (syscall(SYS_read, (int)file, text, sizeof text - 1) < 0)
            text[0] = 0;
        syscall(SYS_close, (int)file);
    }
    errno = before;
    return atoi(text);
}

static int fault_of(int file)
{
    char name[64], path[4096];
    int before = errno;
    snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length <= 0)
        return 0;
    path[length] = 0;
    return fault(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define BY_FILE(type, name, parameters, arguments) \
    type name parameters \
    { \
        int error = fault_of(file); \
        if (error) { \
            errno = error; \
            return -1; \
        } \
        return REAL(name) arguments; \
    }

BY_FILE(ssize_t, write, (int file, const void *bytes, size_t length), (file, bytes, length))
BY_FILE(ssize_t, pwrite, (int file, const void *bytes, size_t length, off_t at), (file, bytes, length, at))
BY_FILE(ssize_t, pwrite64, (int file, const void *bytes, size_t length, off64_t at), (file, bytes, length, at))
BY_FILE(int, ftruncate, (int file, off_t length), (file, length))
BY_FILE(int, ftruncate64, (int file, off64_t length), (file, length))
BY_FILE(int, fsync, (int file), (file))
BY_FILE(int, fdatasync, (int file), (file))

/* Removing takes no room, so that a full disk lets it be. */
#define BY_PATH(name, parameters, arguments) \
    int name parameters \
    { \
        int error = fault(path); \
        if (error && error != ENOSPC) { \
            errno = error; \
            return -1; \
        } \
        return REAL(name) arguments; \
    }

BY_PATH(unlink, (const char *path), (path))
BY_PATH(rename, (const char *path, const char *other), (path, other))

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list list; \
        va_start(list, flags); \
        int mode = flags & O_CREAT ? va_arg(list, int) : 0; \
        va_end(list); \
        int error = fault(path); \
        if (error && (flags & O_ACCMODE) != O_RDONLY && (error != ENOSPC || (flags & O_CREAT && access(path, F_OK) != 0))) { \
            errno = error; \
            return -1; \
        } \
        return REAL(name)(path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
