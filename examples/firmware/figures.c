/*
 * What the library costs on this processor, in instructions. `recording` on the host is a piece of an MPEG recording.
 *
 * Prints lines `figure NAME VALUE`. Names with _per_byte count hundredths of an instruction.
 */
#include "p2pgate.h"

#include "board/board.h"

/* Payload bytes of a frame, and of what a sender reads at a time. */
#define PAYLOAD 4096
/* Payload bytes of receiver.c's frames. */
#define SMALL (640 - P2PGATE_LANE_OVERHEAD)
/* What is authenticated besides, as in a lane: transfer, kind, segment, offset. */
#define PLACE 21

static p2pgate_sealer_t sealer;
static p2pgate_opener_t opener;
static uint64_t splitter[P2PGATE_SPLITTER_WORDS];
static uint8_t window[P2PGATE_SPLITTER_WINDOW];
static uint8_t frame[P2PGATE_SFRAME_HEADROOM + PLACE + PAYLOAD + P2PGATE_SFRAME_TAILROOM];

/* Ticks and bytes of one kind of work. */
struct cost {
    uint64_t ticks, bytes;
};

static void must(const char *what, p2pgate_result_t result)
{
    if (result == P2PGATE_OK)
        return;
    say(what);
    say(": ");
    say(p2pgate_strerror(result));
    say("\n");
    host_exit(1);
}

static void say_figure(const char *name, uint64_t value)
{
    say("figure ");
    say(name);
    say(" ");
    say_number(value);
    say("\n");
}

static uint64_t per_byte(const struct cost *cost)
{
    return cost->bytes == 0 ? 0 : (instructions(cost->ticks * 100) + cost->bytes / 2) / cost->bytes;
}

static void keys(uint32_t suite)
{
    uint8_t key[32];
    memset(key, 7, sizeof key);
    must("sealer", p2pgate_sealer_init(&sealer, suite, 0, key, sizeof key));
    must("opener", p2pgate_opener_init(&opener, suite, 0, key, sizeof key));
}

/* Seals one frame and opens it, encrypted or readable. */
static void there_and_back(const uint8_t *bytes, size_t length, bool encrypted, struct cost *sealing, struct cost *opening)
{
    const size_t metadata = encrypted ? PLACE : PLACE + length;
    uint8_t *payload = frame + P2PGATE_SFRAME_HEADROOM + PLACE;
    p2pgate_range_t range;
    p2pgate_opened_t opened;
    memcpy(payload, bytes, length);
    uint64_t from = ticks();
    must("seal", p2pgate_sealer_seal(&sealer, frame, P2PGATE_SFRAME_HEADROOM + PLACE + length + P2PGATE_SFRAME_TAILROOM, metadata,
                                     encrypted ? length : 0, &range));
    sealing->ticks += ticks() - from;
    sealing->bytes += length;
    from = ticks();
    must("open", p2pgate_opener_open(&opener, frame + range.start, range.length, encrypted ? PLACE : P2PGATE_ALL_BUT_TAG, &opened));
    opening->ticks += ticks() - from;
    opening->bytes += length;
    if (memcmp(payload, bytes, length) != 0) {
        say("what was opened is not what was sealed\n");
        host_exit(1);
    }
}

static void whole_frames(void)
{
    struct cost seal = {0, 0}, open = {0, 0}, mark = {0, 0}, check = {0, 0};
    struct cost small_seal = {0, 0}, small_open = {0, 0}, small_mark = {0, 0}, small_check = {0, 0};
    for (unsigned at = 0; at < 16; at++) {
        there_and_back(window, PAYLOAD, true, &seal, &open);
        there_and_back(window, PAYLOAD, false, &mark, &check);
        there_and_back(window, SMALL, true, &small_seal, &small_open);
        there_and_back(window, SMALL, false, &small_mark, &small_check);
    }
    say_figure("sealed_per_byte", per_byte(&seal));
    say_figure("opened_per_byte", per_byte(&open));
    say_figure("authenticated_per_byte", per_byte(&mark));
    say_figure("checked_per_byte", per_byte(&check));
    keys(P2PGATE_SUITE_AES_128_GCM_SHA256_128);
    struct cost gcm_seal = {0, 0}, gcm_open = {0, 0}, gcm_mark = {0, 0}, gcm_check = {0, 0};
    for (unsigned at = 0; at < 16; at++) {
        there_and_back(window, PAYLOAD, true, &gcm_seal, &gcm_open);
        there_and_back(window, PAYLOAD, false, &gcm_mark, &gcm_check);
    }
    say_figure("gcm_opened_per_byte", per_byte(&gcm_open));
    say_figure("gcm_checked_per_byte", per_byte(&gcm_check));
    keys(P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80);
    say_figure("opened_in_small_frames_per_byte", per_byte(&small_open));
    say_figure("checked_in_small_frames_per_byte", per_byte(&small_check));
}

/* All of a recording: its classes sealed as a sender would, I-pictures only and all of it. */
static void recording(int file)
{
    struct cost split = {0, 0}, seal = {0, 0}, open = {0, 0}, mark = {0, 0}, check = {0, 0}, all = {0, 0}, all_open = {0, 0};
    p2pgate_counts_t counts;
    size_t length = 0;
    bool last = false;
    must("splitter", p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_WORDS, P2PGATE_SELECT_INTRA, 0));
    for (;;) {
        while (!last && length < sizeof window) {
            const size_t came = host_next(file, window + length, sizeof window - length);
            if (came == 0)
                last = true;
            else
                there_and_back(window + length, came, true, &all, &all_open);
            length += came;
        }
        p2pgate_span_t span;
        const uint64_t from = ticks();
        const p2pgate_result_t result = p2pgate_splitter_next(splitter, window, length, last, &span);
        split.ticks += ticks() - from;
        if (result == P2PGATE_NOTHING)
            break;
        must("split", result);
        split.bytes += span.length;
        const bool sealed = span.class_ == P2PGATE_CLASS_SEALED;
        there_and_back(window, span.length, sealed, sealed ? &seal : &mark, sealed ? &open : &check);
        length -= span.length;
        memmove(window, window + span.length, length);
    }
    must("counts", p2pgate_splitter_counts(splitter, &counts));
    const struct cost sending = {split.ticks + seal.ticks + mark.ticks, split.bytes};
    const struct cost receiving = {open.ticks + check.ticks, split.bytes};
    say_figure("recording_bytes", split.bytes);
    say_figure("recording_pictures", counts.intra + counts.predicted + counts.bidirectional);
    say_figure("recording_sealed_bytes", seal.bytes);
    say_figure("split_per_byte", per_byte(&split));
    say_figure("send_all_sealed_per_byte", per_byte(&all));
    say_figure("send_intra_sealed_per_byte", per_byte(&sending));
    say_figure("receive_all_sealed_per_byte", per_byte(&all_open));
    say_figure("receive_intra_sealed_per_byte", per_byte(&receiving));
}

/* A slice of a P picture that has no further start code in it: what the search alone costs. */
static void searching(void)
{
    static const uint8_t head[] = {
        0, 0, 1, 0xB3, 0x2D, 0x02, 0x40, 0x33, 0xFF, 0xFF, 0xE0, 0x18, /* sequence: 720 x 576 */
        0, 0, 1, 0x00, 0x00, 0x10, 0xFF, 0xF8,                         /* picture: P */
        0, 0, 1, 0x01,                                                 /* its first slice */
    };
    struct cost search = {0, 0};
    p2pgate_span_t span;
    memset(window, 0x5A, sizeof window);
    memcpy(window, head, sizeof head);
    must("splitter", p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_WORDS, P2PGATE_SELECT_INTRA, 0));
    while (search.bytes < 1 << 20) {
        const uint64_t from = ticks();
        must("search", p2pgate_splitter_next(splitter, window, sizeof window, false, &span));
        search.ticks += ticks() - from;
        search.bytes += span.length;
        memset(window, 0x5A, sizeof head);
    }
    say_figure("search_per_byte", per_byte(&search));
}

static void key_exchange(void)
{
    uint8_t secret[32], public_key[32];
    memset(secret, 9, sizeof secret);
    const uint64_t from = ticks();
    must("public key", p2pgate_public_key(secret, public_key));
    say_figure("public_key_instructions", instructions(ticks() - from));
}

int main(void)
{
    clock_start();
    memset(window, 0x5A, sizeof window);
    keys(P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80);
    key_exchange();
    searching();
    whole_frames();
    const int file = host_open("recording");
    if (file < 0) {
        say("no recording\n");
        return 1;
    }
    recording(file);
    host_close(file);
    return 0;
}
