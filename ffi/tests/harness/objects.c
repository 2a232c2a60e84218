/* Keys, gate, splitter, writer, merger, SFrame. */
#include "harness.h"

static void keys(void)
{
    uint8_t secret[32], key[32], again[32];
    char text[P2PGATE_FINGERPRINT_LENGTH];
    memset(secret, 1, sizeof secret);
    memset(key, 0xA5, sizeof key);
    GIVES(P2PGATE_E_NULL, p2pgate_public_key(NULL, key));
    GIVES(P2PGATE_E_NULL, p2pgate_public_key(secret, NULL));
    CHECK(untouched(key, sizeof key));
    OK(p2pgate_public_key(secret, key));
    GIVES(P2PGATE_E_NULL, p2pgate_fingerprint(NULL, text));
    GIVES(P2PGATE_E_NULL, p2pgate_fingerprint(key, NULL));
    OK(p2pgate_fingerprint(key, text));
    memset(again, 0xA5, sizeof again);
    GIVES(P2PGATE_E_KEY, p2pgate_parse_fingerprint(text, sizeof text - 1, again));
    GIVES(P2PGATE_E_KEY, p2pgate_parse_fingerprint(NULL, 0, again));
    GIVES(P2PGATE_E_NULL, p2pgate_parse_fingerprint(NULL, 43, again));
    GIVES(P2PGATE_E_NULL, p2pgate_parse_fingerprint(text, sizeof text, NULL));
    GIVES(P2PGATE_E_TEXT, p2pgate_parse_fingerprint("\xff", 1, again));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_parse_fingerprint(text, SIZE_MAX, again));
    CHECK(untouched(again, sizeof again));
    OK(p2pgate_parse_fingerprint(text, sizeof text, again));
    CHECK(memcmp(key, again, sizeof key) == 0);
    OK(p2pgate_wipe(again, sizeof again));
    memset(key, 0, sizeof key);
    CHECK(memcmp(key, again, sizeof key) == 0);
    OK(p2pgate_wipe(NULL, 0));
    GIVES(P2PGATE_E_NULL, p2pgate_wipe(NULL, 1));
}

static void gate(void)
{
    p2pgate_gate_t gate = {{0}}, copy;
    uint32_t free_ = 7;
    GIVES(P2PGATE_E_OBJECT, p2pgate_gate_set_load(&gate, 1));
    GIVES(P2PGATE_E_OBJECT, p2pgate_gate_is_free(&gate, 0, &free_));
    GIVES(P2PGATE_E_OBJECT, p2pgate_gate_deinit(&gate));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_gate_init(&gate, 256, 0, 1));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_gate_init(&gate, 0, 256, 1));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_gate_init(&gate, 0, 0, 256));
    GIVES(P2PGATE_E_NULL, p2pgate_gate_init(NULL, 80, 10, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_gate_set_load(NULL, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_gate_deinit(NULL));
    OK(p2pgate_gate_init(&gate, 80, 10, 2));
    copy = gate;
    GIVES(P2PGATE_E_OBJECT, p2pgate_gate_set_load(&copy, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_gate_is_free(&gate, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_gate_is_free(NULL, 0, &free_));
    CHECK(free_ == 7);
    OK(p2pgate_gate_is_free(&gate, 1, &free_));
    CHECK(free_ == 1);
    OK(p2pgate_gate_set_load(&gate, 80));
    OK(p2pgate_gate_is_free(&gate, 1, &free_));
    CHECK(free_ == 0);
    OK(p2pgate_gate_set_load(&gate, 75));
    OK(p2pgate_gate_is_free(&gate, 1, &free_));
    CHECK(free_ == 0);
    OK(p2pgate_gate_set_load(&gate, 70));
    OK(p2pgate_gate_is_free(&gate, 2, &free_));
    CHECK(free_ == 0);
    OK(p2pgate_gate_is_free(&gate, 1, &free_));
    CHECK(free_ == 1);
    OK(p2pgate_gate_deinit(&gate));
    GIVES(P2PGATE_E_OBJECT, p2pgate_gate_deinit(&gate));
}

/* A small MPEG-2 elementary stream: a sequence, then pictures of these types with slices of pseudo-random bytes that hold no start code. */
static size_t stream(uint8_t *out)
{
    static const uint8_t sequence[] = {0, 0, 1, 0xB3, 0x2D, 0x02, 0x40, 0x33, 0x24, 0x9F, 0x23, 0x81,
                                       0, 0, 1, 0xB5, 0x14, 0x82, 0x00, 0x01, 0x00, 0x00};
    static const uint8_t types[] = {1, 3, 3, 2, 3, 3, 2, 1, 3, 2};
    size_t length = sizeof sequence;
    uint32_t random = 1;
    memcpy(out, sequence, sizeof sequence);
    for (size_t picture = 0; picture < sizeof types; picture++) {
        /* full_pel and f_codes of the picture header, f_codes of its extension. */
        static const uint8_t codes[][5] = {
            {0}, {0xF8, 0, 0x8F, 0xFF, 0xFB}, {0xFB, 0x80, 0x84, 0x4F, 0xFB}, {0xFB, 0xB8, 0x84, 0x43, 0x3B}};
        const uint8_t type = types[picture];
        const uint8_t head[] = {0, 0, 1, 0x00, (uint8_t)(picture >> 2), (uint8_t)(picture << 6 | type << 3), 0xFF,
                                codes[type][0], codes[type][1], 0, 0, 1, 0xB5, codes[type][2], codes[type][3], codes[type][4],
                                0x80, 0x80};
        memcpy(out + length, head, sizeof head);
        length += sizeof head;
        for (uint8_t slice = 1; slice <= 4; slice++) {
            const uint8_t start[] = {0, 0, 1, slice};
            memcpy(out + length, start, sizeof start);
            length += sizeof start;
            for (int byte = 0; byte < 500; byte++) {
                random = random * 1664525 + 1013904223;
                out[length++] = (uint8_t)(random >> 24 | 4);
            }
        }
    }
    return length;
}

static uint8_t recording[40000], files[2][60000], joined[40000];
static size_t file_lengths[2];

static void add(uint32_t which, const uint8_t *data, size_t length)
{
    CHECK(file_lengths[which] + length <= sizeof files[0]);
    memcpy(files[which] + file_lengths[which], data, length);
    file_lengths[which] += length;
}

/* How many bytes of the recording are sealed. */
static size_t sealed_by(uint32_t selection, size_t length)
{
    static uint64_t splitter[P2PGATE_SPLITTER_BLOCKS_WORDS];
    p2pgate_span_t span;
    size_t at = 0, sealed = 0;

    OK(p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_BLOCKS_WORDS, selection, 0));
    while (p2pgate_splitter_next(splitter, recording + at, length - at, 1, &span) == P2PGATE_OK) {
        at += span.length;
        sealed += span.class_ == P2PGATE_CLASS_SEALED ? span.length : 0;
    }
    CHECK(at == length);
    OK(p2pgate_splitter_deinit(splitter));
    return sealed;
}

static void selections(size_t length)
{
    const size_t intra = sealed_by(P2PGATE_SELECT_INTRA, length), anchors = sealed_by(P2PGATE_SELECT_ANCHORS, length),
                 all = sealed_by(P2PGATE_SELECT_ALL, length), blocks = sealed_by(P2PGATE_SELECT_INTRA_BLOCKS, length);

    /* The recording is nothing but video. */
    CHECK(0 < intra && intra < anchors && anchors < all && all == length);
    CHECK(intra < blocks && blocks <= all);
    /* The recording has no fields of their own. */
    CHECK(sealed_by(P2PGATE_SELECT_INTRA_AND_SECOND_FIELD, length) == intra);
}

static void split(size_t length)
{
    static uint64_t splitter[P2PGATE_SPLITTER_BLOCKS_WORDS];
    static p2pgate_writer_t writer;
    uint64_t splitter_copy[P2PGATE_SPLITTER_BLOCKS_WORDS];
    p2pgate_writer_t writer_copy;
    p2pgate_span_t span;
    p2pgate_counts_t counts;
    uint8_t head[P2PGATE_SEGMENT_BUFFER];
    size_t at = 0, there = 0, head_length = 99;

    memset(&span, 0xA5, sizeof span);
    memset(&counts, 0xA5, sizeof counts);
    memset(head, 0xA5, sizeof head);
    GIVES(P2PGATE_E_OBJECT, p2pgate_splitter_next(splitter, recording, length, 1, &span));
    GIVES(P2PGATE_E_OBJECT, p2pgate_splitter_counts(splitter, &counts));
    GIVES(P2PGATE_E_OBJECT, p2pgate_splitter_deinit(splitter));
    GIVES(P2PGATE_E_NULL, p2pgate_splitter_init(NULL, P2PGATE_SPLITTER_BLOCKS_WORDS, 0, 0));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_BLOCKS_WORDS, 5, 0));
    OK(p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_BLOCKS_WORDS, P2PGATE_SELECT_INTRA_BLOCKS, 0));
    OK(p2pgate_splitter_deinit(splitter));
    OK(p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_BLOCKS_WORDS, P2PGATE_SELECT_INTRA, 0));
    memcpy(splitter_copy, splitter, sizeof splitter);
    GIVES(P2PGATE_E_OBJECT, p2pgate_splitter_next(splitter_copy, recording, length, 1, &span));
    GIVES(P2PGATE_E_NULL, p2pgate_splitter_next(NULL, recording, length, 1, &span));
    GIVES(P2PGATE_E_NULL, p2pgate_splitter_next(splitter, NULL, 1, 1, &span));
    GIVES(P2PGATE_E_NULL, p2pgate_splitter_next(splitter, recording, length, 1, NULL));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_splitter_next(splitter, recording, SIZE_MAX, 1, &span));
    GIVES(P2PGATE_E_NULL, p2pgate_splitter_counts(splitter, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_splitter_counts(NULL, &counts));
    GIVES(P2PGATE_NOTHING, p2pgate_splitter_next(splitter, NULL, 0, 0, &span));
    CHECK(untouched(&span, sizeof span) && untouched(&counts, sizeof counts));

    GIVES(P2PGATE_E_OBJECT, p2pgate_writer_record(&writer, 0, recording, 1, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_OBJECT, p2pgate_writer_finish(&writer, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_OBJECT, p2pgate_writer_deinit(&writer));
    GIVES(P2PGATE_E_NULL, p2pgate_writer_init(NULL));
    OK(p2pgate_writer_init(&writer));
    writer_copy = writer;
    GIVES(P2PGATE_E_OBJECT, p2pgate_writer_finish(&writer_copy, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_BUFFER, p2pgate_writer_record(&writer, 0, recording, 1, head, 19, &head_length));
    GIVES(P2PGATE_E_BUFFER, p2pgate_writer_record(&writer, 0, recording, 1, NULL, 0, &head_length));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_writer_record(&writer, 2, recording, 1, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_NULL, p2pgate_writer_record(&writer, 0, NULL, 1, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_NULL, p2pgate_writer_record(&writer, 0, recording, 1, NULL, sizeof head, &head_length));
    GIVES(P2PGATE_E_NULL, p2pgate_writer_record(&writer, 0, recording, 1, head, sizeof head, NULL));
    GIVES(P2PGATE_NOTHING, p2pgate_writer_record(&writer, 0, NULL, 0, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_writer_header(2, head, sizeof head, &head_length));
    GIVES(P2PGATE_E_BUFFER, p2pgate_writer_header(0, head, 6, &head_length));
    GIVES(P2PGATE_E_NULL, p2pgate_writer_header(0, head, sizeof head, NULL));
    GIVES(P2PGATE_E_BUFFER, p2pgate_writer_finish(&writer, NULL, 0, &head_length));
    CHECK(untouched(head, sizeof head) && head_length == 99);

    for (uint32_t which = 0; which < 2; which++) {
        file_lengths[which] = 0;
        OK(p2pgate_writer_header(which, head, sizeof head, &head_length));
        add(which, head, head_length);
    }
    while (at < length) {
        p2pgate_result_t result = p2pgate_splitter_next(splitter, recording + at, there - at, there == length, &span);
        if (result == P2PGATE_NOTHING) {
            CHECK(there < length && there - at < P2PGATE_SPLITTER_WINDOW);
            there = there + 777 < length ? there + 777 : length;
            continue;
        }
        CHECK(result == P2PGATE_OK && span.length > 0 && span.length <= there - at);
        OK(p2pgate_writer_record(&writer, span.class_, recording + at, span.length, head, sizeof head, &head_length));
        add(span.class_, head, head_length);
        add(span.class_, recording + at, span.length);
        at += span.length;
    }
    OK(p2pgate_writer_finish(&writer, head, sizeof head, &head_length));
    add(0, head, head_length);
    add(1, head, head_length);
    OK(p2pgate_splitter_counts(splitter, &counts));
    CHECK(counts.intra == 2 && counts.predicted == 3 && counts.bidirectional == 5 && counts.bytes == length);
    CHECK(counts.intra_bytes + counts.predicted_bytes + counts.second_field_bytes + counts.bidirectional_bytes
              + counts.dc_only_bytes + counts.not_video_bytes + counts.undecided_bytes
          == length);
    CHECK(counts.predicted_bytes > 0 && counts.bidirectional_bytes > 0 && counts.second_field_bytes == 0);
    CHECK(counts.container == P2PGATE_CONTAINER_ES && counts.codec == P2PGATE_CODEC_MPEG2 && counts.packet_size == 0);
    CHECK(file_lengths[0] < length / 3 && file_lengths[1] > length / 2);
    OK(p2pgate_splitter_deinit(splitter));
    GIVES(P2PGATE_E_OBJECT, p2pgate_splitter_next(splitter, recording, length, 1, &span));
    OK(p2pgate_writer_deinit(&writer));
    GIVES(P2PGATE_E_OBJECT, p2pgate_writer_deinit(&writer));
}

/* Puts the files together; gives the first error, or P2PGATE_OK and the length. */
static p2pgate_result_t merge(size_t first, size_t second, size_t *length)
{
    p2pgate_merger_t merger;
    p2pgate_merge_step_t step;
    size_t lengths[2], at[2] = {0, 0}, taken;
    p2pgate_result_t result;
    lengths[0] = first;
    lengths[1] = second;
    *length = 0;
    OK(p2pgate_merger_init(&merger));
    while ((result = p2pgate_merger_step(&merger, &step)) == P2PGATE_OK && step.step != P2PGATE_MERGE_DONE) {
        const uint32_t which = step.class_;
        const size_t left = lengths[which] - at[which];
        if (step.step == P2PGATE_MERGE_READ) {
            result = p2pgate_merger_read(&merger, which, files[which] + at[which], left < 5 ? left : 5, &taken);
        } else {
            taken = step.length < 333 ? (size_t)step.length : 333;
            if (taken > left)
                taken = left;
            memcpy(joined + *length, files[which] + at[which], taken);
            result = p2pgate_merger_copied(&merger, which, files[which] + at[which], taken);
            *length += taken;
        }
        if (result != P2PGATE_OK)
            return result;
        at[which] += taken;
    }
    return result;
}

static void merging(size_t recorded)
{
    static p2pgate_merger_t merger;
    p2pgate_merger_t copy;
    p2pgate_merge_step_t step;
    size_t length, taken = 99;
    memset(&step, 0xA5, sizeof step);
    GIVES(P2PGATE_E_OBJECT, p2pgate_merger_step(&merger, &step));
    GIVES(P2PGATE_E_OBJECT, p2pgate_merger_read(&merger, 0, files[0], 1, &taken));
    GIVES(P2PGATE_E_OBJECT, p2pgate_merger_copied(&merger, 0, files[0], 1));
    GIVES(P2PGATE_E_OBJECT, p2pgate_merger_deinit(&merger));
    GIVES(P2PGATE_E_NULL, p2pgate_merger_init(NULL));
    OK(p2pgate_merger_init(&merger));
    copy = merger;
    GIVES(P2PGATE_E_OBJECT, p2pgate_merger_step(&copy, &step));
    GIVES(P2PGATE_E_NULL, p2pgate_merger_step(NULL, &step));
    GIVES(P2PGATE_E_NULL, p2pgate_merger_step(&merger, NULL));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_merger_read(&merger, 2, files[0], 1, &taken));
    GIVES(P2PGATE_E_NULL, p2pgate_merger_read(&merger, 0, NULL, 1, &taken));
    GIVES(P2PGATE_E_NULL, p2pgate_merger_read(&merger, 0, files[0], 1, NULL));
    GIVES(P2PGATE_E_TRUNCATED, p2pgate_merger_read(&merger, 0, NULL, 0, &taken));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_merger_copied(&merger, 2, files[0], 1));
    GIVES(P2PGATE_E_NULL, p2pgate_merger_copied(&merger, 0, NULL, 1));
    GIVES(P2PGATE_E_CORRUPT, p2pgate_merger_copied(&merger, 0, files[0], 1));
    GIVES(P2PGATE_E_WRONG_CLASS, p2pgate_merger_read(&merger, 1, files[0], file_lengths[0], &taken));
    CHECK(untouched(&step, sizeof step) && taken == 99);
    OK(p2pgate_merger_deinit(&merger));
    GIVES(P2PGATE_E_OBJECT, p2pgate_merger_step(&merger, &step));

    OK(merge(file_lengths[0], file_lengths[1], &length));
    CHECK(length == recorded && memcmp(joined, recording, length) == 0);
    GIVES(P2PGATE_E_TRUNCATED, merge(file_lengths[0] / 2, file_lengths[1], &length));
    files[1][2000] ^= 1;
    GIVES(P2PGATE_E_CORRUPT, merge(file_lengths[0], file_lengths[1], &length));
    files[1][2000] ^= 1;
    files[1][file_lengths[1] - 1] ^= 1;
    GIVES(P2PGATE_E_WRONG_PAIR, merge(file_lengths[0], file_lengths[1], &length));
    files[1][file_lengths[1] - 1] ^= 1;
    files[0][0] ^= 1;
    GIVES(P2PGATE_E_NOT_A_PART, merge(file_lengths[0], file_lengths[1], &length));
}

static void sframe(uint32_t suite)
{
    static p2pgate_sealer_t sealer;
    static p2pgate_opener_t opener;
    p2pgate_sealer_t sealer_copy;
    p2pgate_opener_t opener_copy;
    p2pgate_range_t frame;
    p2pgate_opened_t opened;
    uint8_t key[32], buffer[P2PGATE_SFRAME_HEADROOM + 100 + P2PGATE_SFRAME_TAILROOM], other[sizeof buffer];
    memset(&sealer, 0, sizeof sealer);
    memset(&opener, 0, sizeof opener);
    memset(key, 3, sizeof key);
    memset(buffer, 0x11, sizeof buffer);
    memset(&frame, 0xA5, sizeof frame);
    memset(&opened, 0xA5, sizeof opened);
    GIVES(P2PGATE_E_OBJECT, p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, 20, 80, &frame));
    GIVES(P2PGATE_E_OBJECT, p2pgate_sealer_deinit(&sealer));
    GIVES(P2PGATE_E_OBJECT, p2pgate_opener_open(&opener, buffer, 50, 20, &opened));
    GIVES(P2PGATE_E_OBJECT, p2pgate_opener_deinit(&opener));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_sealer_init(&sealer, 2, 0, key, sizeof key));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_opener_init(&opener, 65537, 0, key, sizeof key));
    GIVES(P2PGATE_E_NULL, p2pgate_sealer_init(&sealer, suite, 0, NULL, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_opener_init(&opener, suite, 0, NULL, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_sealer_init(NULL, suite, 0, key, sizeof key));
    GIVES(P2PGATE_E_NULL, p2pgate_opener_init(NULL, suite, 0, key, sizeof key));
    OK(p2pgate_sealer_init(&sealer, suite, 7, key, sizeof key));
    OK(p2pgate_opener_init(&opener, suite, 7, key, sizeof key));
    sealer_copy = sealer;
    opener_copy = opener;
    GIVES(P2PGATE_E_OBJECT, p2pgate_sealer_seal(&sealer_copy, buffer, sizeof buffer, 20, 80, &frame));
    GIVES(P2PGATE_E_OBJECT, p2pgate_opener_open(&opener_copy, buffer, 50, 20, &opened));
    GIVES(P2PGATE_E_BUFFER, p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, 20, 97, &frame));
    GIVES(P2PGATE_E_BUFFER, p2pgate_sealer_seal(&sealer, NULL, 0, 0, 0, &frame));
    GIVES(P2PGATE_E_BUFFER, p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, SIZE_MAX, 80, &frame));
    GIVES(P2PGATE_E_TOO_LONG, p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, 20, SIZE_MAX, &frame));
    GIVES(P2PGATE_E_NULL, p2pgate_sealer_seal(&sealer, NULL, 9, 0, 0, &frame));
    GIVES(P2PGATE_E_NULL, p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, 20, 80, NULL));
    CHECK(untouched(&frame, sizeof frame) && buffer[0] == 0x11);
    OK(p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, 20, 80, &frame));
    memcpy(other, buffer, sizeof buffer);
    CHECK(buffer[P2PGATE_SFRAME_HEADROOM] == 0x11 && memcmp(buffer + P2PGATE_SFRAME_HEADROOM + 20, buffer + 17, 16) != 0);
    GIVES(P2PGATE_E_FRAME, p2pgate_opener_open(&opener, NULL, 0, 20, &opened));
    GIVES(P2PGATE_E_NULL, p2pgate_opener_open(&opener, NULL, 1, 20, &opened));
    GIVES(P2PGATE_E_NULL, p2pgate_opener_open(&opener, buffer + frame.start, frame.length, 20, NULL));
    GIVES(P2PGATE_E_TRUNCATED, p2pgate_opener_open(&opener, buffer + frame.start, 5, 20, &opened));
    other[frame.start + 40] ^= 1;
    GIVES(P2PGATE_E_NOT_AUTHENTIC, p2pgate_opener_open(&opener, other + frame.start, frame.length, 20, &opened));
    other[frame.start + 40] ^= 1;
    other[frame.start] ^= 0x20;
    GIVES(P2PGATE_E_WRONG_KEY, p2pgate_opener_open(&opener, other + frame.start, frame.length, 20, &opened));
    other[frame.start] ^= 0x20;
    CHECK(untouched(&opened, sizeof opened));
    OK(p2pgate_opener_open(&opener, buffer + frame.start, frame.length, 20, &opened));
    CHECK(opened.plaintext.length == 80 && opened.metadata.length == 20);
    for (size_t at = 0; at < 80; at++)
        CHECK(buffer[frame.start + opened.plaintext.start + at] == 0x11);
    GIVES(P2PGATE_E_WRONG_COUNTER, p2pgate_opener_open(&opener, other + frame.start, frame.length, 20, &opened));
    memset(buffer, 0x22, sizeof buffer);
    OK(p2pgate_sealer_seal(&sealer, buffer, sizeof buffer, 100, 0, &frame));
    CHECK(buffer[P2PGATE_SFRAME_HEADROOM + 99] == 0x22);
    OK(p2pgate_opener_open(&opener, buffer + frame.start, frame.length, P2PGATE_ALL_BUT_TAG, &opened));
    CHECK(opened.plaintext.length == 0 && opened.metadata.length == 100);
    OK(p2pgate_sealer_deinit(&sealer));
    OK(p2pgate_opener_deinit(&opener));
    for (size_t word = 0; word < P2PGATE_SFRAME_WORDS; word++)
        CHECK(sealer.words[word] == 0 && opener.words[word] == 0);
    GIVES(P2PGATE_E_OBJECT, p2pgate_sealer_deinit(&sealer));
    GIVES(P2PGATE_E_OBJECT, p2pgate_opener_deinit(&opener));
}

static void sha256(void)
{
    static const uint8_t abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                  0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    p2pgate_sha256_t sha256 = {{0}}, copy;
    uint8_t hash[32];
    memset(hash, 0xA5, sizeof hash);
    GIVES(P2PGATE_E_OBJECT, p2pgate_sha256_update(&sha256, abc, 1));
    GIVES(P2PGATE_E_OBJECT, p2pgate_sha256_finish(&sha256, hash));
    GIVES(P2PGATE_E_OBJECT, p2pgate_sha256_deinit(&sha256));
    GIVES(P2PGATE_E_NULL, p2pgate_sha256_init(NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_sha256_update(NULL, abc, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_sha256_finish(NULL, hash));
    GIVES(P2PGATE_E_NULL, p2pgate_sha256_deinit(NULL));
    OK(p2pgate_sha256_init(&sha256));
    copy = sha256;
    GIVES(P2PGATE_E_OBJECT, p2pgate_sha256_update(&copy, abc, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_sha256_update(&sha256, NULL, 1));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_sha256_update(&sha256, abc, SIZE_MAX));
    GIVES(P2PGATE_E_NULL, p2pgate_sha256_finish(&sha256, NULL));
    CHECK(untouched(hash, sizeof hash));
    OK(p2pgate_sha256_update(&sha256, NULL, 0));
    OK(p2pgate_sha256_update(&sha256, (const uint8_t *)"ab", 2));
    OK(p2pgate_sha256_finish(&sha256, hash));
    CHECK(memcmp(hash, abc, sizeof abc) != 0);
    OK(p2pgate_sha256_update(&sha256, (const uint8_t *)"c", 1));
    OK(p2pgate_sha256_finish(&sha256, hash));
    CHECK(memcmp(hash, abc, sizeof abc) == 0);
    OK(p2pgate_sha256_deinit(&sha256));
    GIVES(P2PGATE_E_OBJECT, p2pgate_sha256_deinit(&sha256));
}

void test_objects(void)
{
    size_t length = stream(recording);
    keys();
    gate();
    sha256();
    selections(length);
    split(length);
    merging(length);
    sframe(P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80);
    sframe(P2PGATE_SUITE_AES_128_GCM_SHA256_128);
}
