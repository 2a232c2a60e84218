#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH 4096

static int path_of(char path[PATH], const char *folder, const char *name)
{
    const int length = snprintf(path, PATH, "%s/%s", folder, name);

    if (length >= 0 && length < PATH)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

/* Closes, and gives `result` with the errno that there was. */
static int closed(int file, int result)
{
    const int error = errno;

    close(file);
    errno = error;
    return result;
}

int state_sync_folder(int folder)
{
    return fsync(folder);
}

static int sync_path(const char *folder)
{
    const int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return file < 0 ? -1 : closed(file, state_sync_folder(file));
}

static int write_all(int file, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        const ssize_t written = write(file, at, length);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            at += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

int state_make(const char *folder)
{
    return mkdir(folder, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

int state_read(const char *folder, const char *name, void *bytes, size_t room, size_t *length)
{
    char path[PATH];
    struct stat status;
    int file;

    if (path_of(path, folder, name) != 0 || (file = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return -1;
    if (fstat(file, &status) != 0)
        return closed(file, -1);
    if ((uint64_t)status.st_size > room) {
        errno = EFBIG;
        return closed(file, -1);
    }
    for (*length = 0; *length < room;) {
        const ssize_t got = read(file, (char *)bytes + *length, room - *length);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            return closed(file, -1);
        if (got > 0)
            *length += (size_t)got;
    }
    return closed(file, 0);
}

int state_replace(const char *folder, const char *name, const void *bytes, size_t length)
{
    char path[PATH], fresh[PATH];
    int file;

    /* Only one process at a time writes here: it holds the lock. What one left behind that was killed is written over. */
    if (path_of(path, folder, name) != 0 || path_of(fresh, folder, ".new") != 0)
        return -1;
    if (unlink(fresh) != 0 && errno != ENOENT)
        return -1;
    file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return -1;
    if (write_all(file, bytes, length) != 0 || fsync(file) != 0) {
        closed(file, -1);
        unlink(fresh);
        return -1;
    }
    if (close(file) != 0 || rename(fresh, path) != 0)
        return -1;
    return sync_path(folder);
}

int state_rename(const char *folder, const char *from, const char *to)
{
    char old[PATH], new[PATH];

    if (path_of(old, folder, from) != 0 || path_of(new, folder, to) != 0 || rename(old, new) != 0)
        return -1;
    return sync_path(folder);
}

int state_remove(const char *folder, const char *name)
{
    char path[PATH];

    return path_of(path, folder, name) != 0 ? -1 : unlink(path);
}

int state_lock(const char *folder, const char *name, int wait)
{
    char path[PATH];
    int file, result;

    if (path_of(path, folder, name) != 0 || (file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return -1;
    do
        result = flock(file, LOCK_EX | (wait ? 0 : LOCK_NB));
    while (result != 0 && errno == EINTR);
    return result == 0 ? file : closed(file, -1);
}

void state_look(const char *folder, const char *name, struct state_version *version)
{
    char path[PATH];
    struct stat status;

    memset(version, 0, sizeof *version);
    if (path_of(path, folder, name) != 0 || stat(path, &status) != 0)
        return;
    version->file = (uint64_t)status.st_ino;
    version->length = (uint64_t)status.st_size;
    version->seconds = (uint64_t)status.st_mtim.tv_sec;
    version->nanoseconds = (uint64_t)status.st_mtim.tv_nsec;
}

int state_random(uint8_t bytes[32])
{
    size_t length = 0;
    const int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return -1;
    while (length < 32) {
        const ssize_t got = read(file, bytes + length, 32 - length);
        if (got == 0)
            errno = EIO;
        if (got == 0 || (got < 0 && errno != EINTR))
            return closed(file, -1);
        if (got > 0)
            length += (size_t)got;
    }
    return closed(file, 0);
}

/* --- identity ---------------------------------------------------------------------------------------------------------------------------------------- */

size_t identity_write(const struct identity *identity, char text[IDENTITY_TEXT])
{
    char secret[P2PGATE_FINGERPRINT_LENGTH], broker[P2PGATE_FINGERPRINT_LENGTH];
    int length;

    /* A key's text form is base64, of a secret key as of any. */
    p2pgate_fingerprint(identity->secret_key, secret);
    p2pgate_fingerprint(identity->broker_key, broker);
    length = snprintf(text, IDENTITY_TEXT, "Identifier:%s\nSecret Key:%.43s=\nBroker:%s\nBroker Key:%.43s\n%s", identity->identifier, secret,
                      identity->broker, broker, identity->tls ? "TLS:1\n" : "");
    p2pgate_wipe((uint8_t *)secret, sizeof secret);
    return length > 0 && length < IDENTITY_TEXT ? (size_t)length : 0;
}

/* The value of a line `name:value`, NULL if there is none. */
static const char *value_of(const char *text, size_t length, const char *name, size_t *value_length)
{
    const char *const end = text + length;
    const size_t name_length = strlen(name);

    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (line_end == NULL)
            line_end = end;
        if ((size_t)(line_end - text) > name_length && text[name_length] == ':' && memcmp(text, name, name_length) == 0) {
            *value_length = (size_t)(line_end - text) - name_length - 1;
            return text + name_length + 1;
        }
        text = line_end + 1;
    }
    return NULL;
}

static int read_text(char *out, size_t room, const char *text, size_t length, const char *name)
{
    size_t value_length;
    const char *value = value_of(text, length, name, &value_length);

    if (value == NULL || value_length == 0 || value_length >= room)
        return -1;
    memcpy(out, value, value_length);
    out[value_length] = '\0';
    return 0;
}

static int read_key(uint8_t key[P2PGATE_KEY_LENGTH], const char *text, size_t length, const char *name)
{
    size_t value_length;
    const char *value = value_of(text, length, name, &value_length);

    if (value == NULL)
        return -1;
    if (value_length == P2PGATE_FINGERPRINT_LENGTH + 1 && value[P2PGATE_FINGERPRINT_LENGTH] == '=')
        value_length--;
    return p2pgate_parse_fingerprint(value, value_length, key) == P2PGATE_OK ? 0 : -1;
}

int identity_read(struct identity *identity, const char *text, size_t length)
{
    size_t value_length;

    identity->tls = value_of(text, length, "TLS", &value_length) != NULL;
    return read_text(identity->identifier, sizeof identity->identifier, text, length, "Identifier") != 0 ||
                   read_key(identity->secret_key, text, length, "Secret Key") != 0 ||
                   read_text(identity->broker, sizeof identity->broker, text, length, "Broker") != 0 ||
                   read_key(identity->broker_key, text, length, "Broker Key") != 0
               ? -1
               : 0;
}
