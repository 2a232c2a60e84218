/*
 * A recording on its way in: it grows under a hidden name made of its own and of who sends which state of it, so that the same recording from the same
 * terminal goes on where it stopped. At the end it is synced and gets its own name, or the next free one; nothing is ever replaced.
 */
#ifndef INCOMING_H
#define INCOMING_H

#include "p2pgate.h"

/* Longest file name, bytes. */
#define INCOMING_NAME 255

struct incoming {
    int is_open;
    uint32_t session;
    int folder; /* open folder; not closed here */
    int file;
    uint64_t size, written;
    uint64_t unsynced; /* bytes written since the last sync */
    int hashed;
    p2pgate_sha256_t sha256;
    char name[INCOMING_NAME + 1];
    char temporary[INCOMING_NAME + 1];
};

/* A safe file name made of the sender's: the last path component, without control characters, characters that some file system reserves, controls of
   writing direction, dots and spaces at the front or the end; never empty, at most 248 bytes. */
void incoming_name(const char *proposed, char name[INCOMING_NAME + 1]);

/* The hidden name of what `peer` offers. */
void incoming_temporary(const p2pgate_peer_t *peer, const p2pgate_offered_t *offered, char temporary[INCOMING_NAME + 1]);

/* Opens the unfinished file in the open `folder`, new or with what came before: `written` says how much. P2PGATE_OK, or why it can't be taken:
   P2PGATE_E_BUSY (another process takes it), P2PGATE_E_STORAGE (no room), or P2PGATE_E_ARGUMENT with errno. */
p2pgate_result_t incoming_open(struct incoming *incoming, int folder, uint32_t session, const p2pgate_peer_t *peer, const p2pgate_offered_t *offered);

/* Appends the bytes that belong at `offset`: 0, or -1. */
int incoming_write(struct incoming *incoming, uint64_t offset, const uint8_t *bytes, size_t length);

/* The SHA-256 of what is there is this one, or none was asked for. */
int incoming_is(const struct incoming *incoming, const uint8_t hash[32]);

/* Makes the whole recording durable under its own name, which `name` becomes: 0, or -1 with errno. */
int incoming_finish(struct incoming *incoming);

/* Closes it; what came stays for the next try, or with `discard` goes. */
void incoming_close(struct incoming *incoming, int discard);

#endif
