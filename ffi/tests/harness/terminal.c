/* Every function of a terminal by itself: storage, arguments, outputs untouched. */
#include "harness.h"

#define SESSIONS 2
#define PEERS 3
#define WORDS P2PGATE_TERMINAL_WORDS(SESSIONS, PEERS)

static uint64_t terminal[P2PGATE_TERMINAL_WORDS(SESSIONS, PEERS)], copy[P2PGATE_TERMINAL_WORDS(SESSIONS, PEERS)];
static uint8_t secret[32], seed[32], entropy[32], new_seed[32];

static p2pgate_config_t config(void)
{
    p2pgate_config_t config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.identifier = "living-room";
    config.identifier_length = 11;
    config.secret_key = secret;
    config.broker_key = seed;
    config.max_record = 2048;
    config.max_frame = 4096;
    config.suite = P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80;
    config.listen = 1;
    config.load_limit = 80;
    config.load_hysteresis = 10;
    config.load_sessions = 2;
    return config;
}

static p2pgate_result_t init(const p2pgate_config_t *config)
{
    return p2pgate_terminal_init(terminal, WORDS, SESSIONS, PEERS, config, seed, entropy, new_seed);
}

/* All outputs of a terminal's functions. */
static struct {
    size_t length;
    uint32_t number;
    uint64_t deadline;
    p2pgate_status_t status;
    p2pgate_peer_t peer;
    p2pgate_depositor_t depositor;
    p2pgate_input_t input;
    p2pgate_event_t event;
    p2pgate_offered_t offered;
    p2pgate_wanted_t wanted;
    p2pgate_frame_t frame;
    uint8_t bytes[1200];
} out;

/* Every function on storage that holds no terminal: all give `want`, and write nothing. */
static void all_give(p2pgate_result_t want, uint64_t *t)
{
    static uint8_t buffer[200];
    p2pgate_offer_t offer;
    p2pgate_piece_t piece;
    memset(&out, 0xA5, sizeof out);
    memset(&piece, 0, sizeof piece);
    memset(&offer, 0, sizeof offer);
    offer.struct_size = sizeof offer;
    GIVES(want, p2pgate_terminal_deinit(t));
    GIVES(want, p2pgate_terminal_add_entropy(t, entropy));
    GIVES(want, p2pgate_terminal_restore(t, buffer, 10));
    GIVES(want, p2pgate_terminal_adopt_pins(t, buffer, 10));
    GIVES(want, p2pgate_terminal_blob(t, out.bytes, sizeof out.bytes, &out.length));
    GIVES(want, p2pgate_terminal_persisted(t));
    GIVES(want, p2pgate_terminal_connect(t, 0));
    GIVES(want, p2pgate_terminal_enrol(t, "ticket", 6));
    GIVES(want, p2pgate_terminal_listen_at(t, NULL, 0));
    GIVES(want, p2pgate_terminal_set_load(t, 1));
    GIVES(want, p2pgate_terminal_status(t, &out.status));
    GIVES(want, p2pgate_terminal_permit_create(t, NULL, 0));
    GIVES(want, p2pgate_terminal_permit(t, NULL, 0, NULL, 0));
    GIVES(want, p2pgate_terminal_permitted(t, 0, &out.peer));
    GIVES(want, p2pgate_terminal_is_admitted(t, 0, &out.number));
    GIVES(want, p2pgate_terminal_announce(t, "g", 1, 1, buffer, sizeof buffer, &out.frame));
    GIVES(want, p2pgate_terminal_group(t, "g", 1, 1, NULL, 0, NULL, 0, buffer, sizeof buffer, &out.frame));
    GIVES(want, p2pgate_terminal_call(t, "bedroom", 7, 0, &out.number));
    GIVES(want, p2pgate_terminal_peer(t, 0, &out.peer));
    GIVES(want, p2pgate_terminal_offer(t, 0, &offer, 0));
    GIVES(want, p2pgate_terminal_offered(t, 0, &out.offered));
    GIVES(want, p2pgate_terminal_share(t, 1));
    GIVES(want, p2pgate_terminal_fetch(t, 0, "film.mpg", 8, 0));
    GIVES(want, p2pgate_terminal_wanted(t, 0, &out.wanted));
    GIVES(want, p2pgate_terminal_accept(t, 0, 0, 0));
    GIVES(want, p2pgate_terminal_refuse(t, 0, P2PGATE_CAUSE_DECLINED, 0));
    GIVES(want, p2pgate_terminal_stored(t, 0, 0));
    GIVES(want, p2pgate_terminal_not_stored(t, 0, P2PGATE_CAUSE_NO_ROOM, 0));
    GIVES(want, p2pgate_terminal_abandon(t, 0, P2PGATE_CAUSE_STOPPED, 0));
    GIVES(want, p2pgate_terminal_close(t, 0));
    GIVES(want, p2pgate_terminal_max_payload(t, 0, &out.length));
    GIVES(want, p2pgate_terminal_seal(t, 0, &piece, buffer, sizeof buffer, 0, &out.frame));
    GIVES(want, p2pgate_terminal_seal_end(t, 0, 0, 0, NULL, buffer, sizeof buffer, 0, &out.frame));
    GIVES(want, p2pgate_terminal_deposit(t, 0, 1, NULL, 0, 0, 0));
    GIVES(want, p2pgate_terminal_decline_deposit(t, 0, 0));
    GIVES(want, p2pgate_terminal_seal_part(t, 0, "film.mpg", 8, buffer, sizeof buffer, 0, &out.frame));
    GIVES(want, p2pgate_terminal_list_deposits(t));
    GIVES(want, p2pgate_terminal_withdraw_deposit(t, entropy));
    GIVES(want, p2pgate_terminal_collect_again(t));
    GIVES(want, p2pgate_terminal_depositor(t, 0, &out.depositor));
    GIVES(want, p2pgate_terminal_accepted(t, 0, &out.number));
    GIVES(want, p2pgate_terminal_link_opened(t, 1, 0));
    GIVES(want, p2pgate_terminal_link_closed(t, 1, 0));
    GIVES(want, p2pgate_terminal_handle_input(t, 1, buffer, sizeof buffer, 0, &out.input));
    GIVES(want, p2pgate_terminal_poll_transmit(t, 1, out.bytes, sizeof out.bytes, 0, &out.length));
    GIVES(want, p2pgate_terminal_poll_timeout(t, &out.deadline));
    GIVES(want, p2pgate_terminal_handle_timeout(t, 0));
    GIVES(want, p2pgate_terminal_poll_event(t, &out.event));
    CHECK(untouched(&out, sizeof out));
}

static void configurations(void)
{
    p2pgate_config_t wrong;
    const p2pgate_config_t right = config();
    memset(new_seed, 0xA5, sizeof new_seed);
    GIVES(P2PGATE_E_NULL, init(NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_init(NULL, WORDS, SESSIONS, PEERS, &right, seed, entropy, new_seed));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_init(terminal, WORDS, SESSIONS, PEERS, &right, NULL, entropy, new_seed));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_init(terminal, WORDS, SESSIONS, PEERS, &right, seed, NULL, new_seed));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_init(terminal, WORDS, SESSIONS, PEERS, &right, seed, entropy, NULL));
    GIVES(P2PGATE_E_STORAGE, p2pgate_terminal_init(terminal, WORDS - 1, SESSIONS, PEERS, &right, seed, entropy, new_seed));
    GIVES(P2PGATE_E_STORAGE, p2pgate_terminal_init((uint64_t *)(void *)((uint8_t *)terminal + 4), WORDS, SESSIONS, PEERS, &right,
                                                   seed, entropy, new_seed));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_init(terminal, WORDS, 0, PEERS, &right, seed, entropy, new_seed));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_init(terminal, SIZE_MAX, 256, PEERS, &right, seed, entropy, new_seed));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_init(terminal, SIZE_MAX, 1, SIZE_MAX, &right, seed, entropy, new_seed));
#define WRONG(want, change) \
    do { \
        wrong = right; \
        wrong.change; \
        GIVES(want, init(&wrong)); \
    } while (0)
    WRONG(P2PGATE_E_STRUCT_SIZE, struct_size = 0);
    WRONG(P2PGATE_E_STRUCT_SIZE, struct_size = sizeof right + 8);
    WRONG(P2PGATE_E_NULL, identifier = NULL);
    WRONG(P2PGATE_E_IDENTIFIER, identifier_length = 0);
    WRONG(P2PGATE_E_IDENTIFIER, identifier = "with,a comma");
    WRONG(P2PGATE_E_TEXT, identifier = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    WRONG(P2PGATE_E_NULL, secret_key = NULL);
    WRONG(P2PGATE_E_NULL, broker_key = NULL);
    WRONG(P2PGATE_E_ARGUMENT, max_record = 511);
    WRONG(P2PGATE_E_ARGUMENT, max_record = 65536);
    WRONG(P2PGATE_E_ARGUMENT, max_frame = P2PGATE_MIN_FRAME - 1);
    WRONG(P2PGATE_E_ARGUMENT, suite = 0);
    WRONG(P2PGATE_E_ARGUMENT, load_limit = 256);
    CHECK(untouched(new_seed, sizeof new_seed));
}

static void list(void)
{
    uint8_t key[32];
    uint8_t blob[P2PGATE_BLOB_LENGTH(PEERS)], small[P2PGATE_BLOB_LENGTH(PEERS) - 1];
    static uint64_t narrow[P2PGATE_TERMINAL_WORDS(1, 1)];
    const p2pgate_config_t one = config();
    p2pgate_entry_t entries[4];
    p2pgate_status_t status;
    p2pgate_peer_t peer;
    size_t length = 99;
    memset(key, 4, sizeof key);
    memset(entries, 0, sizeof entries);
    for (size_t at = 0; at < 4; at++) {
        static const char *const names[] = {"bedroom", "kitchen", "cellar", "attic"};
        entries[at].identifier = names[at];
        entries[at].identifier_length = strlen(names[at]);
    }
    entries[1].key = key;
    memset(&peer, 0xA5, sizeof peer);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_permitted(terminal, 0, &peer));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_permitted(terminal, 0, NULL));
    GIVES(P2PGATE_E_LIST_FULL, p2pgate_terminal_permit_create(terminal, entries, 4));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_permit_create(terminal, NULL, 1));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_permit(terminal, entries, 1, NULL, 1));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_permit(terminal, entries, SIZE_MAX, NULL, 0));
    entries[3].identifier_length = 0;
    GIVES(P2PGATE_E_IDENTIFIER, p2pgate_terminal_permit(terminal, entries, 1, entries + 3, 1));
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_permitted(terminal, 0, &peer));
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_poll_event(terminal, &out.event));
    CHECK(untouched(&peer, sizeof peer));

    OK(p2pgate_terminal_permit_create(terminal, entries, 2));
    OK(p2pgate_terminal_permit(terminal, entries + 2, 1, entries, 1));
    OK(p2pgate_terminal_permitted(terminal, 0, &peer));
    CHECK(strcmp((const char *)peer.identifier, "kitchen") == 0 && peer.identifier_length == 7);
    CHECK(peer.has_key == 1 && memcmp(peer.key, key, sizeof key) == 0);
    OK(p2pgate_terminal_permitted(terminal, 1, &peer));
    CHECK(strcmp((const char *)peer.identifier, "cellar") == 0 && peer.has_key == 0);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_permitted(terminal, 2, &peer));
    memset(&out.depositor, 0xA5, sizeof out.depositor);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_depositor(terminal, 0, &out.depositor));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_depositor(terminal, 0, NULL));
    CHECK(untouched(&out.depositor, sizeof out.depositor));
    OK(p2pgate_terminal_poll_event(terminal, &out.event));
    CHECK(out.event.kind == P2PGATE_EVENT_PERSIST);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_poll_event(terminal, &out.event));
    OK(p2pgate_terminal_status(terminal, &status));
    CHECK(status.revision == 2 && status.registered == 0 && status.relay == 0);
    OK(p2pgate_public_key(secret, key));
    CHECK(memcmp(status.public_key, key, sizeof key) == 0);

    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_blob(terminal, small, sizeof small, &length));
    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_blob(terminal, NULL, 0, &length));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_blob(terminal, blob, sizeof blob, NULL));
    CHECK(length == 99);
    OK(p2pgate_terminal_blob(terminal, blob, sizeof blob, &length));
    CHECK(length <= sizeof blob);
    OK(p2pgate_terminal_persisted(terminal));

    /* After a reset. */
    OK(p2pgate_terminal_deinit(terminal));
    OK(init(&one));
    blob[0] ^= 0x40;
    GIVES(P2PGATE_E_BLOB_VERSION, p2pgate_terminal_restore(terminal, blob, length));
    blob[0] ^= 0x40;
    blob[length - 9] ^= 1;
    GIVES(P2PGATE_E_BLOB_DAMAGED, p2pgate_terminal_restore(terminal, blob, length));
    blob[length - 9] ^= 1;
    GIVES(P2PGATE_E_BLOB_DAMAGED, p2pgate_terminal_restore(terminal, NULL, 0));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_restore(terminal, NULL, 1));
    GIVES(P2PGATE_E_BLOB_DAMAGED, p2pgate_terminal_adopt_pins(terminal, blob, length - 1));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_adopt_pins(terminal, NULL, 1));
    OK(p2pgate_terminal_restore(terminal, blob, length));
    OK(p2pgate_terminal_adopt_pins(terminal, blob, length));
    OK(p2pgate_terminal_permitted(terminal, 1, &peer));
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_permitted(terminal, 2, &peer));
    OK(p2pgate_terminal_init(narrow, P2PGATE_TERMINAL_WORDS(1, 1), 1, 1, &one, seed, entropy, new_seed));
    GIVES(P2PGATE_E_BLOB_ENTRIES, p2pgate_terminal_restore(narrow, blob, length));
    OK(p2pgate_terminal_deinit(narrow));
}

static void arguments(void)
{
    static char ticket[65];
    p2pgate_address_t addresses[5];
    p2pgate_offer_t offer;
    p2pgate_piece_t piece;
    uint8_t buffer[200];
    uint32_t sealed, rest;
    memset(ticket, 'x', sizeof ticket);
    memset(addresses, 0, sizeof addresses);
    memset(&offer, 0, sizeof offer);
    memset(&piece, 0, sizeof piece);
    memset(&out, 0xA5, sizeof out);
    OK(p2pgate_terminal_add_entropy(terminal, entropy));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_add_entropy(terminal, NULL));
    OK(p2pgate_terminal_enrol(terminal, ticket, 64));
    GIVES(P2PGATE_E_TICKET, p2pgate_terminal_enrol(terminal, ticket, 65));
    GIVES(P2PGATE_E_TEXT, p2pgate_terminal_enrol(terminal, "\xff", 1));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_enrol(terminal, NULL, 1));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_listen_at(terminal, addresses, 1));
    for (size_t at = 0; at < 5; at++)
        addresses[at].family = at % 2 ? 4 : 6;
    OK(p2pgate_terminal_listen_at(terminal, addresses, 4));
    GIVES(P2PGATE_E_ADDRESSES, p2pgate_terminal_listen_at(terminal, addresses, 5));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_listen_at(terminal, NULL, 1));
    addresses[0].port = 65536;
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_listen_at(terminal, addresses, 1));
    OK(p2pgate_terminal_listen_at(terminal, NULL, 0));
    OK(p2pgate_terminal_set_load(terminal, 1000));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_status(terminal, NULL));

    GIVES(P2PGATE_E_ONESELF, p2pgate_terminal_call(terminal, "living-room", 11, 0, &out.number));
    GIVES(P2PGATE_E_OFFLINE, p2pgate_terminal_call(terminal, "bedroom", 7, 0, &out.number));
    GIVES(P2PGATE_E_IDENTIFIER, p2pgate_terminal_call(terminal, NULL, 0, 0, &out.number));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_call(terminal, NULL, 1, 0, &out.number));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_call(terminal, "bedroom", 7, 0, NULL));
    static const uint32_t sessions[] = {0, 1, 0x10000, 0xff0000, 0x1000000, 0xffffffff};
    for (size_t at = 0; at < sizeof sessions / sizeof *sessions; at++) {
        const uint32_t session = sessions[at];
        offer.struct_size = sizeof offer;
        GIVES(P2PGATE_NOTHING, p2pgate_terminal_peer(terminal, session, &out.peer));
        GIVES(P2PGATE_E_NOT_OPEN, p2pgate_terminal_offer(terminal, session, &offer, 0));
        offer.struct_size = 8;
        GIVES(P2PGATE_E_STRUCT_SIZE, p2pgate_terminal_offer(terminal, session, &offer, 0));
        GIVES(P2PGATE_NOTHING, p2pgate_terminal_offered(terminal, session, &out.offered));
        GIVES(P2PGATE_E_NOT_OPEN, p2pgate_terminal_fetch(terminal, session, "film.mpg", 8, 0));
        GIVES(P2PGATE_E_NOT_OPEN, p2pgate_terminal_fetch(terminal, session, NULL, 0, 0));
        GIVES(P2PGATE_NOTHING, p2pgate_terminal_wanted(terminal, session, &out.wanted));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_accept(terminal, session, 0, 0));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_refuse(terminal, session, P2PGATE_CAUSE_DECLINED, 0));
        GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_refuse(terminal, session, 7, 0));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_stored(terminal, session, 0));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_not_stored(terminal, session, P2PGATE_CAUSE_NO_ROOM, 0));
        GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_not_stored(terminal, session, 7, 0));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_abandon(terminal, session, P2PGATE_CAUSE_STOPPED, 0));
        GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_abandon(terminal, session, 7, 0));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_deposit(terminal, session, 1, NULL, 0, 0, 0));
        GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_decline_deposit(terminal, session, 0));
        GIVES(P2PGATE_E_NO_LANE, p2pgate_terminal_seal_part(terminal, session, "a", 1, NULL, 0, 0, &out.frame));
        OK(p2pgate_terminal_close(terminal, session));
        GIVES(P2PGATE_NOTHING, p2pgate_terminal_max_payload(terminal, session, &out.length));
        GIVES(P2PGATE_E_NO_LANE, p2pgate_terminal_seal(terminal, session, &piece, buffer, sizeof buffer, 0, &out.frame));
        GIVES(P2PGATE_E_NO_LANE, p2pgate_terminal_seal_end(terminal, session, 1, 0, NULL, NULL, 0, 0, &out.frame));
        GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_seal_end(terminal, session, 2, 0, NULL, NULL, 0, 0, &out.frame));
    }
    piece.class_ = 2;
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_seal(terminal, 0, &piece, buffer, sizeof buffer, 0, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal(terminal, 0, NULL, buffer, sizeof buffer, 0, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal(terminal, 0, &piece, NULL, 1, 0, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal(terminal, 0, &piece, buffer, sizeof buffer, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal_end(terminal, 0, 0, 0, NULL, NULL, 1, 0, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal_end(terminal, 0, 0, 0, NULL, buffer, sizeof buffer, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_deposit(terminal, 0, 1, NULL, 8, 0, 0));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal_part(terminal, 0, NULL, 1, buffer, sizeof buffer, 0, &out.frame));
    GIVES(P2PGATE_E_TEXT, p2pgate_terminal_seal_part(terminal, 0, "\xff", 1, buffer, sizeof buffer, 0, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal_part(terminal, 0, "a", 1, NULL, 1, 0, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_seal_part(terminal, 0, "a", 1, buffer, sizeof buffer, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_group(terminal, NULL, 1, 1, NULL, 0, NULL, 0, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_IDENTIFIER, p2pgate_terminal_group(terminal, "", 0, 1, NULL, 0, NULL, 0, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_group(terminal, "a/b", 3, 1, NULL, 1, NULL, 0, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_group(terminal, "a/b", 3, 1, NULL, 0, NULL, 1, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_group(terminal, "a/b", 3, 1, NULL, 0, NULL, 0, NULL, 1, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_group(terminal, "a/b", 3, 1, NULL, 0, NULL, 0, buffer, sizeof buffer, NULL));
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_terminal_group(terminal, "a/b", 3, 0, NULL, 0, NULL, 0, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_OFFLINE, p2pgate_terminal_group(terminal, "a/b", 3, 1, NULL, 0, NULL, 0, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_announce(terminal, NULL, 1, 1, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_TEXT, p2pgate_terminal_announce(terminal, "\xff", 1, 1, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_NAME, p2pgate_terminal_announce(terminal, "a b", 3, 1, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_announce(terminal, "a.b", 3, 1, NULL, 1, &out.frame));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_announce(terminal, "a.b", 3, 1, buffer, sizeof buffer, NULL));
    GIVES(P2PGATE_E_OFFLINE, p2pgate_terminal_announce(terminal, "a.b", 3, 1, buffer, sizeof buffer, &out.frame));
    GIVES(P2PGATE_E_OFFLINE, p2pgate_terminal_list_deposits(terminal));
    GIVES(P2PGATE_E_OFFLINE, p2pgate_terminal_withdraw_deposit(terminal, entropy));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_withdraw_deposit(terminal, NULL));
    OK(p2pgate_terminal_collect_again(terminal));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_offer(terminal, 0, NULL, 0));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_peer(terminal, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_offered(terminal, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_wanted(terminal, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_fetch(terminal, 0, NULL, 1, 0));
    GIVES(P2PGATE_E_TEXT, p2pgate_terminal_fetch(terminal, 0, "\xff", 1, 0));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_max_payload(terminal, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_accepted(terminal, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_handle_input(terminal, 1, buffer, sizeof buffer, 0, NULL));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_handle_input(terminal, 1, NULL, 1, 0, &out.input));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_poll_transmit(terminal, 1, NULL, 1, 0, &out.length));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_poll_transmit(terminal, 1, buffer, sizeof buffer, 0, NULL));
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_poll_transmit(terminal, 1, NULL, 0, 0, &out.length));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_poll_timeout(terminal, NULL));
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_poll_timeout(terminal, &out.deadline));
    GIVES(P2PGATE_E_NULL, p2pgate_terminal_poll_event(terminal, NULL));
    CHECK(untouched(&out, sizeof out));

    OK(p2pgate_terminal_handle_input(terminal, 99, NULL, 0, 0, &out.input));
    CHECK(out.input.step == P2PGATE_STEP_CLOSED && out.input.consumed == 0);
    OK(p2pgate_terminal_link_opened(terminal, 99, 0));
    OK(p2pgate_terminal_link_closed(terminal, 99, 0));
    for (int at = 0; at < 4; at++)
        OK(p2pgate_terminal_accepted(terminal, 0, &out.number));
    GIVES(P2PGATE_E_INCOMING_FULL, p2pgate_terminal_accepted(terminal, 0, &out.number));
    memset(buffer, 0, sizeof buffer);
    OK(p2pgate_terminal_handle_input(terminal, out.number, buffer, sizeof buffer, 0, &out.input));
    CHECK(out.input.step == P2PGATE_STEP_CLOSED);
    OK(p2pgate_terminal_poll_event(terminal, &out.event));
    CHECK(out.event.kind == P2PGATE_EVENT_REFUSED && out.event.cause == P2PGATE_REFUSED_PREAMBLE);
    OK(p2pgate_terminal_poll_event(terminal, &out.event));
    CHECK(out.event.kind == P2PGATE_EVENT_CLOSE && out.event.link == out.number);
    OK(p2pgate_terminal_poll_timeout(terminal, &out.deadline));
    CHECK(out.deadline > 0);
    OK(p2pgate_terminal_handle_timeout(terminal, out.deadline));
    OK(p2pgate_terminal_poll_event(terminal, &out.event));

    OK(p2pgate_decide_route(P2PGATE_ATTRIBUTE_SPLIT, 1, 0, 1, &sealed, &rest));
    CHECK(sealed == P2PGATE_WAY_RELAY_SEALED && rest == P2PGATE_WAY_DIRECT_CLEAR);
    OK(p2pgate_decide_route(P2PGATE_ATTRIBUTE_CONFIDENTIAL, 1, 0, 0, &sealed, &rest));
    CHECK(sealed == P2PGATE_WAY_DIRECT_SEALED && rest == P2PGATE_WAY_NONE);
    OK(p2pgate_decide_route(P2PGATE_ATTRIBUTE_BY_SIZE, 1, 2, 1, &sealed, &rest));
    CHECK(sealed == P2PGATE_WAY_RELAY_SEALED && rest == P2PGATE_WAY_NONE);
    OK(p2pgate_decide_route(P2PGATE_ATTRIBUTE_PUBLIC, 1, 0, 1, &sealed, &rest));
    CHECK(sealed == P2PGATE_WAY_NONE && rest == P2PGATE_WAY_DIRECT_CLEAR);
    GIVES(P2PGATE_E_ARGUMENT, p2pgate_decide_route(4, 1, 0, 1, &sealed, &rest));
    GIVES(P2PGATE_E_NULL, p2pgate_decide_route(0, 1, 0, 1, NULL, &rest));
    GIVES(P2PGATE_E_NULL, p2pgate_decide_route(0, 1, 0, 1, &sealed, NULL));
    CHECK(sealed == P2PGATE_WAY_NONE && rest == P2PGATE_WAY_DIRECT_CLEAR);
}

void test_terminal_calls(void)
{
    const p2pgate_config_t right = config();
    memset(secret, 1, sizeof secret);
    memset(seed, 2, sizeof seed);
    memset(entropy, 3, sizeof entropy);
    all_give(P2PGATE_E_NULL, NULL);
    all_give(P2PGATE_E_STORAGE, (uint64_t *)(void *)((uint8_t *)terminal + 1));
    all_give(P2PGATE_E_OBJECT, terminal);
    memset(terminal, 0x5A, sizeof terminal);
    all_give(P2PGATE_E_OBJECT, terminal);
    configurations();
    all_give(P2PGATE_E_OBJECT, terminal);
    OK(init(&right));
    CHECK(memcmp(new_seed, seed, sizeof seed) != 0);
    memcpy(copy, terminal, sizeof copy);
    all_give(P2PGATE_E_OBJECT, copy);
    list();
    arguments();
    OK(p2pgate_terminal_deinit(terminal));
    for (size_t word = 0; word < WORDS; word++)
        CHECK(terminal[word] == 0);
    all_give(P2PGATE_E_OBJECT, terminal);
    /* Another kind of object is none either. */
    uint64_t splitter[P2PGATE_SPLITTER_BLOCKS_WORDS];
    OK(p2pgate_splitter_init(splitter, P2PGATE_SPLITTER_BLOCKS_WORDS, 0, 0));
    all_give(P2PGATE_E_OBJECT, splitter);
    OK(p2pgate_splitter_deinit(splitter));
}
