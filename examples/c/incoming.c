#include "incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "state.h"

/* Room kept for " (9999)", so that a second recording of the same name still fits. */
#define NUMBER_ROOM 7
/* Longest extension that is kept. */
#define EXTENSION 16
/* Bytes that may be unsynced: the last sync must not take long, and as much is lost at most when the power fails. */
#define UNSYNCED ((uint64_t)4 << 20)

/* --- names ------------------------------------------------------------------------------------------------------------------------------------------- */

/* How many bytes of UTF-8 at `text` are a character that doesn't belong in a file name; 0: none. */
static size_t unsafe_length(const unsigned char *text)
{
    if (text[0] < 0x20 || text[0] == 0x7f || strchr("<>:\"|?*\\", text[0]) != NULL)
        return 1;
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f)
        return 2; /* control characters again */
    if (text[0] == 0xe2 && text[1] == 0x80 && (text[2] == 0x8e || text[2] == 0x8f || (text[2] >= 0xa8 && text[2] <= 0xae)))
        return 3; /* marks and overrides of writing direction, line separators */
    if (text[0] == 0xe2 && text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9)
        return 3; /* isolates */
    return 0;
}

/* Where the extension begins; the name's end if there is none worth keeping. */
static size_t extension_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    const size_t length = strlen(name);

    return dot == NULL || dot == name || length - (size_t)(dot - name) > EXTENSION ? length : (size_t)(dot - name);
}

/* Cuts the name down to `room` bytes, its extension kept and no character torn. */
static void shorten(char *name, size_t room)
{
    const size_t length = strlen(name), extension = extension_of(name);
    size_t end;

    if (length <= room)
        return;
    end = room - (length - extension);
    while (end > 0 && ((unsigned char)name[end] & 0xc0) == 0x80)
        end--;
    memmove(name + end, name + extension, length - extension + 1);
}

void incoming_name(const char *proposed, char name[INCOMING_NAME + 1])
{
    const char *slash = strrchr(proposed, '/');
    const unsigned char *at = (const unsigned char *)(slash == NULL ? proposed : slash + 1);
    size_t length = 0;

    while (*at != '\0' && length < INCOMING_NAME) {
        const size_t skip = unsafe_length(at);
        if (skip == 0 && length == 0 && (*at == '.' || *at == ' ')) {
            at++; /* nothing hidden */
            continue;
        }
        name[length++] = skip > 0 ? '_' : (char)*at;
        at += skip > 0 ? skip : 1;
    }
    while (length > 0 && (name[length - 1] == '.' || name[length - 1] == ' '))
        length--;
    name[length] = '\0';
    if (length == 0)
        strcpy(name, "recording");
    shorten(name, INCOMING_NAME - NUMBER_ROOM);
}

static void add_field(p2pgate_sha256_t *sha256, const void *bytes, size_t length)
{
    uint8_t count[4];

    for (int at = 0; at < 4; at++)
        count[at] = (uint8_t)(length >> (24 - 8 * at));
    p2pgate_sha256_update(sha256, count, sizeof count);
    p2pgate_sha256_update(sha256, bytes, length);
}

void incoming_temporary(const p2pgate_peer_t *peer, const p2pgate_offered_t *offered, char temporary[INCOMING_NAME + 1])
{
    p2pgate_sha256_t sha256;
    uint8_t hash[32], size[8];
    char name[INCOMING_NAME + 1];

    for (int at = 0; at < 8; at++)
        size[at] = (uint8_t)(offered->size >> (56 - 8 * at));
    p2pgate_sha256_init(&sha256);
    add_field(&sha256, peer->identifier, peer->identifier_length);
    add_field(&sha256, offered->name, offered->name_length);
    add_field(&sha256, size, sizeof size);
    add_field(&sha256, offered->source, offered->source_length);
    p2pgate_sha256_finish(&sha256, hash);
    p2pgate_sha256_deinit(&sha256);
    incoming_name((const char *)offered->name, name);
    shorten(name, INCOMING_NAME - sizeof "..part-0123456789abcdef" + 1);
    snprintf(temporary, INCOMING_NAME + 1, ".%.232s.part-%02x%02x%02x%02x%02x%02x%02x%02x", name, hash[0], hash[1], hash[2], hash[3], hash[4], hash[5],
             hash[6], hash[7]);
}

/* --- the file ---------------------------------------------------------------------------------------------------------------------------------------- */

/* The hash of what is there already; leaves the file's position behind it. */
static int hash_file(struct incoming *incoming)
{
    static uint8_t buffer[65536];

    for (uint64_t at = 0; at < incoming->written;) {
        const uint64_t left = incoming->written - at;
        const ssize_t got = pread(incoming->file, buffer, left < sizeof buffer ? (size_t)left : sizeof buffer, (off_t)at);
        if (got == 0)
            errno = EIO;
        if (got == 0 || (got < 0 && errno != EINTR))
            return -1;
        if (got > 0) {
            p2pgate_sha256_update(&incoming->sha256, buffer, (size_t)got);
            at += (uint64_t)got;
        }
    }
    return 0;
}

/* Never through a link that somebody laid there. A session that lost its line may hold it still, in another process. */
static p2pgate_result_t open_locked(struct incoming *incoming, struct stat *status)
{
    incoming->file = openat(incoming->folder, incoming->temporary, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (incoming->file < 0)
        return P2PGATE_E_ARGUMENT;
    if (flock(incoming->file, LOCK_EX | LOCK_NB) == 0 && fstat(incoming->file, status) == 0)
        return P2PGATE_OK;
    const int error = errno;
    close(incoming->file);
    errno = error;
    return error == EWOULDBLOCK ? P2PGATE_E_BUSY : P2PGATE_E_ARGUMENT;
}

static p2pgate_result_t prepare(struct incoming *incoming, const struct stat *status)
{
    struct statvfs disk;

    if (fstatvfs(incoming->file, &disk) != 0)
        return P2PGATE_E_ARGUMENT;
    /* Nobody knows whether the last bytes were on the disk before the power failed. */
    incoming->written = (uint64_t)status->st_size;
    if (incoming->written > incoming->size)
        incoming->written = 0;
    incoming->written -= incoming->written < UNSYNCED ? incoming->written : UNSYNCED;
    if (ftruncate(incoming->file, (off_t)incoming->written) != 0)
        return P2PGATE_E_ARGUMENT;
    if ((uint64_t)disk.f_bavail * disk.f_frsize < incoming->size - incoming->written)
        return P2PGATE_E_STORAGE;
    if (incoming->hashed && hash_file(incoming) != 0)
        return P2PGATE_E_ARGUMENT;
    return P2PGATE_OK;
}

p2pgate_result_t incoming_open(struct incoming *incoming, int folder, uint32_t session, const p2pgate_peer_t *peer, const p2pgate_offered_t *offered)
{
    struct stat status;
    p2pgate_result_t result;

    incoming->session = session;
    incoming->folder = folder;
    incoming->size = offered->size;
    incoming->unsynced = 0;
    incoming->hashed = offered->hash != 0;
    incoming_name((const char *)offered->name, incoming->name);
    incoming_temporary(peer, offered, incoming->temporary);
    result = open_locked(incoming, &status);
    if (result == P2PGATE_OK && status.st_nlink > 1) {
        /* incoming_finish was cut off: it has its own name already, under which not a byte may change. */
        close(incoming->file);
        if (unlinkat(folder, incoming->temporary, 0) != 0)
            return P2PGATE_E_ARGUMENT;
        result = open_locked(incoming, &status);
    }
    if (result != P2PGATE_OK)
        return result;
    p2pgate_sha256_init(&incoming->sha256);
    incoming->is_open = 1;
    result = prepare(incoming, &status);
    if (result != P2PGATE_OK) {
        const int error = errno;
        incoming_close(incoming, result == P2PGATE_E_STORAGE && incoming->written == 0);
        errno = error;
    }
    return result;
}

int incoming_write(struct incoming *incoming, uint64_t offset, const uint8_t *bytes, size_t length)
{
    if (offset != incoming->written || length > incoming->size - incoming->written)
        return -1;
    if (incoming->unsynced + length > UNSYNCED) {
        if (fdatasync(incoming->file) != 0)
            return -1;
        incoming->unsynced = 0;
    }
    for (size_t at = 0; at < length;) {
        const ssize_t written = pwrite(incoming->file, bytes + at, length - at, (off_t)(offset + at));
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0)
            at += (size_t)written;
    }
    incoming->unsynced += length;
    incoming->written += length;
    if (incoming->hashed)
        p2pgate_sha256_update(&incoming->sha256, bytes, length);
    return 0;
}

int incoming_is(const struct incoming *incoming, const uint8_t hash[32])
{
    uint8_t ours[32];

    return !incoming->hashed || (p2pgate_sha256_finish(&incoming->sha256, ours) == P2PGATE_OK && memcmp(ours, hash, sizeof ours) == 0);
}

/* A hard link fails where the name is taken, which a rename doesn't; file systems without links get the rename. */
static int place(const struct incoming *incoming, const char *name)
{
    struct stat status;

    if (linkat(incoming->folder, incoming->temporary, incoming->folder, name, 0) == 0)
        return unlinkat(incoming->folder, incoming->temporary, 0);
    if (errno == EEXIST)
        return -1;
    if (fstatat(incoming->folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(incoming->folder, incoming->temporary, incoming->folder, name);
}

int incoming_finish(struct incoming *incoming)
{
    const int stem = (int)extension_of(incoming->name);
    char name[INCOMING_NAME + 1];

    if (incoming->written != incoming->size) {
        errno = EIO;
        return -1;
    }
    if (fsync(incoming->file) != 0)
        return -1;
    strcpy(name, incoming->name);
    for (int number = 1; place(incoming, name) != 0; number++) {
        if (errno != EEXIST || number == 10000)
            return -1;
        if (snprintf(name, sizeof name, "%.*s (%d)%s", stem, incoming->name, number, incoming->name + stem) >= (int)sizeof name)
            return -1;
    }
    strcpy(incoming->name, name);
    return state_sync_folder(incoming->folder);
}

void incoming_close(struct incoming *incoming, int discard)
{
    if (!incoming->is_open)
        return;
    if (discard)
        unlinkat(incoming->folder, incoming->temporary, 0);
    close(incoming->file);
    p2pgate_sha256_deinit(&incoming->sha256);
    incoming->is_open = 0;
}
