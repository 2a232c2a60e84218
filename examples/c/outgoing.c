#include "outgoing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void outgoing_begin(struct outgoing *outgoing, int file, int split, int seal_rest, uint64_t from, size_t most)
{
    outgoing->file = file;
    outgoing->split = split;
    outgoing->from = from;
    outgoing->most = most;
    outgoing->offset = outgoing->segment = 0;
    outgoing->class_ = P2PGATE_CLASS_SEALED;
    outgoing->any = outgoing->last = 0;
    outgoing->left = outgoing->start = outgoing->end = 0;
    p2pgate_splitter_init(outgoing->splitter, P2PGATE_SPLITTER_BLOCKS_WORDS, P2PGATE_SELECT_INTRA, seal_rest != 0);
    p2pgate_sha256_init(&outgoing->sha256);
}

static int read_more(struct outgoing *outgoing)
{
    ssize_t got;

    outgoing->end -= outgoing->start;
    memmove(outgoing->window, outgoing->window + outgoing->start, outgoing->end);
    outgoing->start = 0;
    do
        got = pread(outgoing->file, outgoing->window + outgoing->end, sizeof outgoing->window - outgoing->end,
                    (off_t)(outgoing->offset + outgoing->end));
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;
    outgoing->end += (size_t)got;
    outgoing->last = got == 0;
    return 0;
}

/* Finds the next run of bytes of one class: as outgoing_next. */
static int find_span(struct outgoing *outgoing)
{
    for (;;) {
        const size_t length = outgoing->end - outgoing->start;
        p2pgate_span_t span = {length, P2PGATE_CLASS_SEALED};
        if (outgoing->split ? p2pgate_splitter_next(outgoing->splitter, outgoing->window + outgoing->start, length, (uint32_t)outgoing->last, &span) == P2PGATE_OK
                            : length > 0) {
            outgoing->segment += outgoing->any && outgoing->class_ != span.class_;
            outgoing->any = 1;
            outgoing->class_ = span.class_;
            outgoing->left = span.length;
            return 1;
        }
        if (outgoing->last)
            return 0;
        if (read_more(outgoing) != 0)
            return -1;
    }
}

int outgoing_next(struct outgoing *outgoing, p2pgate_piece_t *piece, const uint8_t **bytes)
{
    for (;;) {
        const uint64_t before = outgoing->offset < outgoing->from ? outgoing->from - outgoing->offset : 0;
        if (outgoing->left == 0) {
            const int found = find_span(outgoing);
            if (found <= 0)
                return found;
        }
        *bytes = outgoing->window + outgoing->start;
        piece->class_ = outgoing->class_;
        piece->segment = outgoing->segment;
        piece->offset = outgoing->offset;
        piece->length = outgoing->left < outgoing->most ? outgoing->left : outgoing->most;
        if (before > 0 && piece->length > before)
            piece->length = (size_t)before;
        p2pgate_sha256_update(&outgoing->sha256, *bytes, piece->length);
        outgoing->start += piece->length;
        outgoing->left -= piece->length;
        outgoing->offset += piece->length;
        if (before == 0)
            return 1;
    }
}

uint64_t outgoing_segments(const struct outgoing *outgoing)
{
    return outgoing->any ? outgoing->segment + 1 : 0;
}

void outgoing_hash(const struct outgoing *outgoing, uint8_t hash[32])
{
    p2pgate_sha256_finish(&outgoing->sha256, hash);
}

void outgoing_end(struct outgoing *outgoing)
{
    p2pgate_sha256_deinit(&outgoing->sha256);
    p2pgate_splitter_deinit(outgoing->splitter);
}
