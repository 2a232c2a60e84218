/*
 * What outlasts a run: small files in a folder that only its owner reads. On a device without files each name is a place in flash that is written whole;
 * docs/porting.md says how often.
 *
 *   identity             identifier, secret key, the broker's address and key: Name:value lines, written once
 *   identity.enrolling   the same until the broker has confirmed it
 *   seed                 32 bytes, replaced before every use
 *   peers                the library's table of permitted terminals and pinned keys
 *   lock                 held while any of them is read and written
 *   receiving            held by the one process that receives
 *
 * The Rust recorder keeps the same files, so either program goes on where the other stopped.
 */
#ifndef STATE_H
#define STATE_H

#include "p2pgate.h"

#define IDENTITY_TEXT 1024

struct identity {
    char identifier[P2PGATE_MAX_IDENTIFIER + 1];
    char broker[256]; /* HOST:PORT */
    uint8_t secret_key[P2PGATE_KEY_LENGTH];
    uint8_t broker_key[P2PGATE_KEY_LENGTH];
    int tls; /* the broker is reached by TLS */
};

/* Tells whether a file was replaced since one last looked. */
struct state_version {
    uint64_t file, length, seconds, nanoseconds;
};

/* All of these give 0, or -1 with errno. */

/* Makes the folder if it isn't there, readable by its owner only. */
int state_make(const char *folder);

/* Reads a whole file of up to `room` bytes. */
int state_read(const char *folder, const char *name, void *bytes, size_t room, size_t *length);

/* Replaces a file: afterwards it is the old or the new one, whatever happens, and the new one if this succeeded. */
int state_replace(const char *folder, const char *name, const void *bytes, size_t length);

int state_rename(const char *folder, const char *from, const char *to);
int state_remove(const char *folder, const char *name);

/* Locks a file until it is closed: the file, or -1; without `wait` that is EWOULDBLOCK where another process has it. */
int state_lock(const char *folder, const char *name, int wait);

/* All zeros if there is no such file. */
void state_look(const char *folder, const char *name, struct state_version *version);

/* Makes the entries of an open folder durable. */
int state_sync_folder(int folder);

/* 32 bytes from the operating system's generator. */
int state_random(uint8_t bytes[32]);

/* The text of the file `identity`, and back: its length, 0 if it doesn't fit; 0 or -1. */
size_t identity_write(const struct identity *identity, char text[IDENTITY_TEXT]);
int identity_read(struct identity *identity, const char *text, size_t length);

#endif
