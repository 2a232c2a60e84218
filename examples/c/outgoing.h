/* A recording on its way out: its bytes in order, class by class, in bounded memory. */
#ifndef OUTGOING_H
#define OUTGOING_H

#include "p2pgate.h"

#define OUTGOING_CHUNK 65536

struct outgoing {
    int file;
    int split;                      /* else all is one segment of the class sealed */
    uint64_t from;                  /* what lies before is only looked at */
    size_t most;                    /* longest piece, bytes */
    uint64_t offset;                /* of the next byte to give out */
    uint64_t segment;
    uint32_t class_;
    int any;                        /* there was a piece */
    size_t left;                    /* of the span that the splitter gave last */
    int last;                       /* the window goes up to the recording's end */
    size_t start, end;              /* of the window: what is there */
    uint8_t window[OUTGOING_CHUNK + P2PGATE_SPLITTER_WINDOW];
    uint64_t splitter[P2PGATE_SPLITTER_BLOCKS_WORDS];
    p2pgate_sha256_t sha256;        /* of all bytes given out or passed over */
};

/* Begins, at byte `from`, with an open file. `seal_rest`: what is no video is sealed too. */
void outgoing_begin(struct outgoing *outgoing, int file, int split, int seal_rest, uint64_t from, size_t most);

/* The next bytes: 1, 0 if the recording is over, -1 with errno. They stay where they are until the next call. */
int outgoing_next(struct outgoing *outgoing, p2pgate_piece_t *piece, const uint8_t **bytes);

/* How many segments there were. */
uint64_t outgoing_segments(const struct outgoing *outgoing);

/* The SHA-256 of all bytes so far. */
void outgoing_hash(const struct outgoing *outgoing, uint8_t hash[32]);

/* Ends it; the file stays open. */
void outgoing_end(struct outgoing *outgoing);

#endif
