/* Two terminals and a broker, which talk through byte arrays. */
#include "harness.h"

#define TERMINALS 2
#define PIPES 32
#define ROOM 65536
#define SIZE 20000

enum { CALLER, CALLEE };

/* A connection: one end at a terminal, the other at a terminal too or at the broker. */
static struct pipe {
    int used;
    int at_broker;
    uint64_t connection; /* at the broker */
    int terminal[2];
    uint32_t link[2];
    uint8_t held[2][ROOM]; /* what each end has received and not used */
    size_t length[2];
    int closing; /* 1 + the end that closes */
} pipes[PIPES];

static uint64_t terminals[TERMINALS][P2PGATE_TERMINAL_WORDS(1, 4)];
static struct hub *hub;
static uint64_t now = 1000, connections;
#define KINDS (P2PGATE_EVENT_GROUP_ANSWERED + 1)
static unsigned seen[TERMINALS][KINDS];
static p2pgate_event_t last[TERMINALS][KINDS];
static p2pgate_input_t listed;
static int depositing;
static uint8_t recording[SIZE], received[SIZE], hash[32];
static size_t arrived;

static struct pipe *open_pipe(int terminal, uint32_t link)
{
    for (int at = 0; at < PIPES; at++)
        if (!pipes[at].used) {
            memset(&pipes[at], 0, sizeof pipes[at]);
            pipes[at].used = 1;
            pipes[at].terminal[0] = terminal;
            pipes[at].link[0] = link;
            return &pipes[at];
        }
    CHECK(!"too many connections");
    return NULL;
}

static struct pipe *find(int terminal, uint32_t link, int *end)
{
    for (int at = 0; at < PIPES; at++)
        for (*end = 0; *end < 2; ++*end)
            if (pipes[at].used && (*end == 0 || !pipes[at].at_broker) && pipes[at].terminal[*end] == terminal &&
                pipes[at].link[*end] == link)
                return &pipes[at];
    return NULL;
}

static void put(struct pipe *pipe, int end, const uint8_t *bytes, size_t length)
{
    if (end == 1 && pipe->at_broker) {
        harness_input(hub, pipe->connection, bytes, length, now);
        return;
    }
    CHECK(pipe->length[end] + length <= ROOM);
    memcpy(pipe->held[end] + pipe->length[end], bytes, length);
    pipe->length[end] += length;
}

static void write_frame(int terminal, const uint8_t *buffer, const p2pgate_frame_t *frame)
{
    int end;
    struct pipe *pipe = find(terminal, frame->link, &end);
    CHECK(pipe != NULL);
    put(pipe, 1 - end, buffer + frame->range.start, frame->range.length);
}

/* Sends the recording from `offset` on: segments of 700 bytes, by turns sealed and rest. */
static void send_all(int terminal, uint32_t session, uint64_t offset)
{
    static uint8_t buffer[P2PGATE_LANE_HEADROOM + 1000 + P2PGATE_LANE_TAILROOM];
    p2pgate_frame_t frame;
    p2pgate_piece_t piece;
    size_t most = 0;
    memset(&frame, 0xA5, sizeof frame);
    OK(p2pgate_terminal_max_payload(terminals[terminal], session, &most));
    CHECK(most == 2048 - P2PGATE_LANE_OVERHEAD);
    piece.class_ = P2PGATE_CLASS_SEALED;
    piece.segment = 0;
    piece.offset = 0;
    piece.length = 0;
    GIVES(P2PGATE_E_PAYLOAD, p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, sizeof buffer, now, &frame));
    piece.length = most + 1;
    GIVES(P2PGATE_E_PAYLOAD, p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, sizeof buffer, now, &frame));
    piece.length = 100;
    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, 100, now, &frame));
    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_seal(terminals[terminal], session, &piece, NULL, 0, now, &frame));
    piece.offset = SIZE - 99;
    GIVES(P2PGATE_E_TOO_LONG, p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, sizeof buffer, now, &frame));
    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_seal_end(terminals[terminal], session, 0, 1, hash, buffer, 60, now, &frame));
    CHECK(untouched(&frame, sizeof frame));
    uint64_t segments = 0;
    for (size_t at = 0; at < SIZE; segments++) {
        const size_t end = at + 700 < SIZE ? at + 700 : SIZE;
        piece.class_ = segments % 2 ? P2PGATE_CLASS_REST : P2PGATE_CLASS_SEALED;
        piece.segment = segments;
        piece.offset = at < offset ? offset : at;
        if (end > offset) {
            piece.length = end - (size_t)piece.offset;
            memcpy(buffer + P2PGATE_LANE_HEADROOM, recording + piece.offset, piece.length);
            OK(p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, sizeof buffer, now, &frame));
            /* What is rest goes in clear. */
            CHECK((memcmp(buffer + P2PGATE_LANE_HEADROOM, recording + piece.offset, piece.length) == 0) == (segments % 2 == 1));
            write_frame(terminal, buffer, &frame);
        }
        at = end;
    }
    for (uint32_t which = 0; which < 2; which++) {
        OK(p2pgate_terminal_seal_end(terminals[terminal], session, which, segments, hash, buffer, sizeof buffer, now, &frame));
        write_frame(terminal, buffer, &frame);
    }
    GIVES(P2PGATE_E_NO_LANE, p2pgate_terminal_seal_end(terminals[terminal], session, 0, 1, hash, buffer, sizeof buffer, now, &frame));
}

/* The same into a deposit: one segment, all sealed. */
static void deposit_all(int terminal, uint32_t session)
{
    static uint8_t buffer[P2PGATE_LANE_HEADROOM + 1000 + P2PGATE_LANE_TAILROOM];
    p2pgate_frame_t frame;
    p2pgate_piece_t piece;
    memset(&frame, 0xA5, sizeof frame);
    memset(&piece, 0, sizeof piece);
    piece.class_ = P2PGATE_CLASS_SEALED;
    piece.length = 1000;
    GIVES(P2PGATE_E_PART_DUE, p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, sizeof buffer, now, &frame));
    GIVES(P2PGATE_E_GAP, p2pgate_terminal_seal_end(terminals[terminal], session, 0, 1, hash, buffer, sizeof buffer, now, &frame));
    GIVES(P2PGATE_E_NAME, p2pgate_terminal_seal_part(terminals[terminal], session, "a/b", 3, buffer, sizeof buffer, now, &frame));
    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_seal_part(terminals[terminal], session, "film.mpg", 8, buffer, 100, now, &frame));
    CHECK(untouched(&frame, sizeof frame));
    OK(p2pgate_terminal_seal_part(terminals[terminal], session, "film.mpg", 8, buffer, P2PGATE_MAX_PART_HEADER, now, &frame));
    write_frame(terminal, buffer, &frame);
    GIVES(P2PGATE_E_NOT_YET, p2pgate_terminal_seal_part(terminals[terminal], session, "film.mpg", 8, buffer, sizeof buffer, now, &frame));
    for (; piece.offset < SIZE; piece.offset += piece.length) {
        memcpy(buffer + P2PGATE_LANE_HEADROOM, recording + piece.offset, piece.length);
        OK(p2pgate_terminal_seal(terminals[terminal], session, &piece, buffer, sizeof buffer, now, &frame));
        write_frame(terminal, buffer, &frame);
    }
    OK(p2pgate_terminal_seal_end(terminals[terminal], session, 0, 1, hash, buffer, sizeof buffer, now, &frame));
    write_frame(terminal, buffer, &frame);
}

static void act(int terminal, const p2pgate_event_t *event)
{
    uint8_t blob[P2PGATE_BLOB_LENGTH(4)];
    struct pipe *pipe;
    size_t length;
    int end;
    CHECK(event->kind > 0 && event->kind < KINDS);
    seen[terminal][event->kind]++;
    last[terminal][event->kind] = *event;
    switch (event->kind) {
    case P2PGATE_EVENT_CONNECT:
        pipe = open_pipe(terminal, event->link);
        if (event->address.family == 0) {
            pipe->at_broker = 1;
            pipe->connection = ++connections;
            harness_connected(hub, pipe->connection, now);
        } else {
            static const uint8_t address[] = {192, 0, 2, 2};
            CHECK(event->address.family == 4 && event->address.port == 7000 && memcmp(event->address.ip, address, 4) == 0);
            pipe->terminal[1] = CALLEE;
            OK(p2pgate_terminal_accepted(terminals[CALLEE], now, &pipe->link[1]));
        }
        OK(p2pgate_terminal_link_opened(terminals[terminal], event->link, now));
        break;
    case P2PGATE_EVENT_CLOSE:
        pipe = find(terminal, event->link, &end);
        if (pipe != NULL)
            pipe->closing = 1 + end;
        break;
    case P2PGATE_EVENT_PERSIST:
        OK(p2pgate_terminal_blob(terminals[terminal], blob, sizeof blob, &length));
        OK(p2pgate_terminal_persisted(terminals[terminal]));
        break;
    case P2PGATE_EVENT_READY:
        if (depositing)
            deposit_all(terminal, event->session);
        else
            send_all(terminal, event->session, event->number);
        break;
    default:
        break;
    }
}

/* Hands what an end holds to its terminal. */
static int take(struct pipe *pipe, int end)
{
    int moved = 0;
    while (pipe->used) {
        p2pgate_input_t input;
        OK(p2pgate_terminal_handle_input(terminals[pipe->terminal[end]], pipe->link[end], pipe->held[end], pipe->length[end], now,
                                         &input));
        if (input.step == P2PGATE_STEP_NEED_MORE) {
            CHECK(input.need > pipe->length[end] && input.need <= 4 + 2048 + 2);
            return moved;
        }
        if (input.step == P2PGATE_STEP_BLOCKED)
            return moved;
        if (input.step == P2PGATE_STEP_CLOSED) {
            pipe->length[end] = 0;
            return moved;
        }
        if (input.step == P2PGATE_STEP_PAYLOAD) {
            CHECK(input.offset + input.payload.length <= SIZE && input.offset == arrived);
            memcpy(received + input.offset, pipe->held[end] + input.payload.start, input.payload.length);
            arrived += input.payload.length;
        }
        if (input.step == P2PGATE_STEP_DEPOSIT) {
            listed = input;
            CHECK(input.payload.length == 7 && memcmp(pipe->held[end] + input.payload.start, "bedroom", 7) == 0);
        }
        pipe->length[end] -= input.consumed;
        memmove(pipe->held[end], pipe->held[end] + input.consumed, pipe->length[end]);
        moved = 1;
    }
    return moved;
}

static int transmit(struct pipe *pipe, int end)
{
    uint8_t out[P2PGATE_TRANSMIT_LENGTH(4)];
    size_t length;
    int moved = 0;
    p2pgate_result_t result;
    GIVES(P2PGATE_E_STORAGE, p2pgate_terminal_poll_transmit((uint64_t *)(void *)((uint8_t *)terminals[0] + 4), 1, out, 1, now, &length));
    for (;;) {
        uint8_t none;
        result = p2pgate_terminal_poll_transmit(terminals[pipe->terminal[end]], pipe->link[end], &none, 0, now, &length);
        CHECK(result == P2PGATE_E_BUFFER || result == P2PGATE_NOTHING);
        result = p2pgate_terminal_poll_transmit(terminals[pipe->terminal[end]], pipe->link[end], out, sizeof out, now, &length);
        if (result == P2PGATE_NOTHING)
            return moved;
        CHECK(result == P2PGATE_OK && length > 0 && length <= sizeof out);
        put(pipe, 1 - end, out, length);
        moved = 1;
    }
}

static int step(void)
{
    int moved = 0;
    for (int terminal = 0; terminal < TERMINALS; terminal++) {
        p2pgate_event_t event;
        while (p2pgate_terminal_poll_event(terminals[terminal], &event) == P2PGATE_OK) {
            act(terminal, &event);
            moved = 1;
        }
    }
    for (struct pipe *pipe = pipes; pipe < pipes + PIPES; pipe++) {
        uint8_t bytes[1000];
        size_t length;
        if (!pipe->used)
            continue;
        moved |= transmit(pipe, 0);
        if (!pipe->at_broker)
            moved |= transmit(pipe, 1);
        while (pipe->at_broker && (length = harness_output(hub, pipe->connection, bytes, sizeof bytes)) > 0) {
            put(pipe, 0, bytes, length);
            moved = 1;
        }
        moved |= take(pipe, 0);
        if (!pipe->at_broker)
            moved |= take(pipe, 1);
        if (pipe->at_broker && pipe->closing == 0 && harness_closes(hub, pipe->connection))
            pipe->closing = 2;
        if (pipe->closing && pipe->length[2 - pipe->closing] == 0) {
            const int other = 2 - pipe->closing;
            pipe->used = 0;
            if (other == 1 && pipe->at_broker)
                harness_disconnected(hub, pipe->connection, now);
            else
                OK(p2pgate_terminal_link_closed(terminals[pipe->terminal[other]], pipe->link[other], now));
            moved = 1;
        }
    }
    return moved;
}

static void settle(void)
{
    for (int turn = 0; turn < 10000; turn++)
        if (!step())
            return;
    CHECK(!"the world never settles");
}

static void start(int terminal, const char *name, const uint8_t broker_key[32])
{
    uint8_t secret[32], seed[32], entropy[32];
    p2pgate_config_t config;
    p2pgate_address_t address;
    memset(secret, 20 + terminal, sizeof secret);
    memset(seed, 40 + terminal, sizeof seed);
    memset(entropy, 60 + terminal, sizeof entropy);
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.identifier = name;
    config.identifier_length = strlen(name);
    config.secret_key = secret;
    config.broker_key = broker_key;
    config.max_record = 2048;
    config.max_frame = 2048;
    config.suite = P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80;
    config.listen = 1;
    config.load_limit = 80;
    config.load_hysteresis = 10;
    config.load_sessions = 1;
    OK(p2pgate_terminal_init(terminals[terminal], P2PGATE_TERMINAL_WORDS(1, 4), 1, 4, &config, seed, entropy, seed));
    memset(&address, 0, sizeof address);
    address.family = 4;
    address.port = 7000;
    address.ip[0] = 192;
    address.ip[2] = 2;
    address.ip[3] = (uint8_t)(1 + terminal);
    OK(p2pgate_terminal_listen_at(terminals[terminal], &address, 1));
    OK(p2pgate_terminal_enrol(terminals[terminal], name, strlen(name)));
    OK(p2pgate_terminal_connect(terminals[terminal], now));
    settle();
    CHECK(seen[terminal][P2PGATE_EVENT_ONLINE] == 1 && last[terminal][P2PGATE_EVENT_ONLINE].flag == 1);
    CHECK(seen[terminal][P2PGATE_EVENT_ADDRESS_KNOWN] == 1);
}

/* What a busy callee can't take now: the broker keeps it. */
static uint32_t call(p2pgate_result_t want);
static void test_deposit(void)
{
    p2pgate_offered_t offered;
    p2pgate_depositor_t depositor;
    p2pgate_event_t *told = &last[CALLER][P2PGATE_EVENT_DEPOSITED];
    uint32_t session = call(P2PGATE_OK);
    CHECK(seen[CALLER][P2PGATE_EVENT_DEPOSIT_OFFERED] == 1 && seen[CALLER][P2PGATE_EVENT_DENIED] == 1);
    CHECK(last[CALLER][P2PGATE_EVENT_DEPOSIT_OFFERED].session == session);
    CHECK(last[CALLER][P2PGATE_EVENT_DEPOSIT_OFFERED].number > SIZE);
    OK(p2pgate_terminal_decline_deposit(terminals[CALLER], session, now));
    GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_decline_deposit(terminals[CALLER], session, now));
    settle();
    CHECK(seen[CALLER][P2PGATE_EVENT_DENIED] == 2);
    CHECK(last[CALLER][P2PGATE_EVENT_DENIED].cause == P2PGATE_DENIED_NOT_CONNECTED);

    session = call(P2PGATE_OK);
    GIVES(P2PGATE_E_SOURCE, p2pgate_terminal_deposit(terminals[CALLER], session, SIZE, hash, 7, 1, now));
    OK(p2pgate_terminal_deposit(terminals[CALLER], session, SIZE, hash, 8, 1, now));
    depositing = 1;
    settle();
    depositing = 0;
    CHECK(seen[CALLER][P2PGATE_EVENT_DEPOSITED] == 1 && told->session == session);
    CHECK(last[CALLER][P2PGATE_EVENT_CLOSED].session == session);
    CHECK(seen[CALLEE][P2PGATE_EVENT_DEPOSIT_WAITING] == 1 && seen[CALLEE][P2PGATE_EVENT_COLLECTING] == 0);
    CHECK(last[CALLEE][P2PGATE_EVENT_DEPOSIT_WAITING].number == SIZE);
    OK(p2pgate_terminal_depositor(terminals[CALLEE], 0, &depositor));
    CHECK(strcmp((const char *)depositor.identifier, "living-room") == 0);
    CHECK(memcmp(depositor.deposit, told->deposit, 16) == 0);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_depositor(terminals[CALLEE], 1, &depositor));
    OK(p2pgate_terminal_list_deposits(terminals[CALLER]));
    GIVES(P2PGATE_E_BUSY, p2pgate_terminal_list_deposits(terminals[CALLER]));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_DEPOSITS_LISTED].cause == 200);
    CHECK(listed.size == SIZE && listed.offset == SIZE && memcmp(listed.deposit, told->deposit, 16) == 0);

    OK(p2pgate_terminal_set_load(terminals[CALLEE], 10));
    settle();
    CHECK(seen[CALLEE][P2PGATE_EVENT_COLLECTING] == 1 && seen[CALLEE][P2PGATE_EVENT_OFFERED] == 1);
    session = last[CALLEE][P2PGATE_EVENT_OFFERED].session;
    OK(p2pgate_terminal_offered(terminals[CALLEE], session, &offered));
    CHECK(strcmp((const char *)offered.name, "film.mpg") == 0 && offered.size == SIZE && offered.hash == 1);
    arrived = 1234;
    memcpy(received, recording, arrived);
    OK(p2pgate_terminal_accept(terminals[CALLEE], session, arrived, now));
    settle();
    CHECK(seen[CALLEE][P2PGATE_EVENT_ARRIVED] == 1 && arrived == SIZE && memcmp(received, recording, SIZE) == 0);
    OK(p2pgate_terminal_stored(terminals[CALLEE], session, now));
    settle();
    CHECK(seen[CALLER][P2PGATE_EVENT_DEPOSIT_COLLECTED] == 1);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_depositor(terminals[CALLEE], 0, &depositor));
    CHECK(memcmp(last[CALLER][P2PGATE_EVENT_DEPOSIT_COLLECTED].deposit, told->deposit, 16) == 0);
    OK(p2pgate_terminal_withdraw_deposit(terminals[CALLER], told->deposit));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_DEPOSIT_WITHDRAWN].cause == 200);
    memset(seen, 0, sizeof seen);
    memset(received, 0, sizeof received);
    seen[CALLER][P2PGATE_EVENT_ONLINE] = 1;
}

/* What is said of a group; the broker's status. */
static uint32_t group(uint32_t replace, const char *add, const char *remove)
{
    uint8_t buffer[1200];
    p2pgate_entry_t entries[2];
    p2pgate_frame_t frame;
    memset(entries, 0, sizeof entries);
    entries[0].identifier = add;
    entries[0].identifier_length = add ? strlen(add) : 0;
    entries[1].identifier = remove;
    entries[1].identifier_length = remove ? strlen(remove) : 0;
    memset(&frame, 0xA5, sizeof frame);
    GIVES(P2PGATE_E_BUFFER, p2pgate_terminal_group(terminals[CALLEE], "bedroom/friends", 15, replace, entries, add != NULL, entries + 1,
                                                   remove != NULL, buffer, 20, &frame));
    CHECK(untouched(&frame, sizeof frame));
    OK(p2pgate_terminal_group(terminals[CALLEE], "bedroom/friends", 15, replace, entries, add != NULL, entries + 1, remove != NULL, buffer,
                              sizeof buffer, &frame));
    GIVES(P2PGATE_E_BUSY, p2pgate_terminal_group(terminals[CALLEE], "bedroom/friends", 15, 1, NULL, 0, NULL, 0, buffer + 600, 600, &frame));
    write_frame(CALLEE, buffer, &frame);
    settle();
    return last[CALLEE][P2PGATE_EVENT_GROUP_ANSWERED].cause;
}

/* The list names a group: its members get through, until they are taken out. */
static void test_group(void)
{
    p2pgate_entry_t entry;
    p2pgate_event_t *connected = &last[CALLEE][P2PGATE_EVENT_CONNECTED];
    memset(&entry, 0, sizeof entry);
    entry.identifier = "bedroom/friends";
    entry.identifier_length = 15;
    CHECK(group(1, "living-room", NULL) == 200);
    OK(p2pgate_terminal_permit(terminals[CALLEE], &entry, 1, NULL, 0));
    settle();
    call(P2PGATE_OK);
    CHECK(seen[CALLER][P2PGATE_EVENT_CONNECTED] == 1 && seen[CALLEE][P2PGATE_EVENT_CONNECTED] == 1);
    CHECK(group(0, "attic", "living-room") == 200);
    CHECK(seen[CALLEE][P2PGATE_EVENT_CLOSED] == 1 && last[CALLEE][P2PGATE_EVENT_CLOSED].session == connected->session);
    CHECK(last[CALLEE][P2PGATE_EVENT_CLOSED].cause == P2PGATE_CLOSED_WITHDRAWN);
    CHECK(group(1, NULL, NULL) == 200);
    call(P2PGATE_OK);
    CHECK(last[CALLER][P2PGATE_EVENT_DENIED].cause == P2PGATE_DENIED_NOT_PERMITTED);
    OK(p2pgate_terminal_permit_create(terminals[CALLEE], NULL, 0));
    settle();
    memset(seen, 0, sizeof seen);
    seen[CALLER][P2PGATE_EVENT_ONLINE] = 1;
    seen[CALLER][P2PGATE_EVENT_DENIED] = 1;
}

static p2pgate_offer_t offer(void)
{
    p2pgate_offer_t offer;
    memset(&offer, 0, sizeof offer);
    offer.struct_size = sizeof offer;
    offer.name = "film.mpg";
    offer.name_length = 8;
    offer.source = hash;
    offer.source_length = 8;
    offer.size = SIZE;
    offer.sealed_bytes = SIZE;
    offer.rest_bytes = SIZE;
    offer.sealed_way = P2PGATE_WAY_RELAY_SEALED;
    offer.rest_way = P2PGATE_WAY_DIRECT_CLEAR;
    offer.hash = 1;
    return offer;
}

/* A call; gives the caller's session. */
static uint32_t call(p2pgate_result_t want)
{
    uint32_t session = 0xA5A5A5A5;
    GIVES(want, p2pgate_terminal_call(terminals[CALLER], "bedroom", 7, now, &session));
    settle();
    return session;
}

/* The callee asks the caller, which first doesn't share. */
static void test_fetch(uint32_t session, uint32_t theirs)
{
    p2pgate_offered_t offered;
    p2pgate_wanted_t wanted;
    p2pgate_offer_t good = offer();
    memset(&wanted, 0xA5, sizeof wanted);
    OK(p2pgate_terminal_fetch(terminals[CALLEE], theirs, "film.mpg", 8, now));
    GIVES(P2PGATE_E_BUSY, p2pgate_terminal_fetch(terminals[CALLEE], theirs, "film.mpg", 8, now));
    settle();
    CHECK(last[CALLEE][P2PGATE_EVENT_TRANSFER_FAILED].cause == P2PGATE_FAILED_FETCH_REFUSED);
    CHECK(seen[CALLER][P2PGATE_EVENT_WANTED] == 0);
    OK(p2pgate_terminal_share(terminals[CALLER], 1));
    GIVES(P2PGATE_E_NAME, p2pgate_terminal_fetch(terminals[CALLEE], theirs, "a/b", 3, now));
    OK(p2pgate_terminal_fetch(terminals[CALLEE], theirs, "other.mpg", 9, now));
    settle();
    CHECK(seen[CALLER][P2PGATE_EVENT_WANTED] == 1 && last[CALLER][P2PGATE_EVENT_WANTED].session == session);
    OK(p2pgate_terminal_wanted(terminals[CALLER], session, &wanted));
    CHECK(strcmp((const char *)wanted.name, "other.mpg") == 0 && wanted.name_length == 9 && wanted.reserved == 0);
    GIVES(P2PGATE_E_NAME, p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
    OK(p2pgate_terminal_refuse(terminals[CALLER], session, P2PGATE_CAUSE_NO_SUCH_RECORDING, now));
    settle();
    CHECK(last[CALLEE][P2PGATE_EVENT_TRANSFER_FAILED].cause == P2PGATE_FAILED_NO_SUCH_RECORDING);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_wanted(terminals[CALLER], session, &wanted));
    for (int list = 0; list < 2; list++) {
        OK(p2pgate_terminal_fetch(terminals[CALLEE], theirs, list ? NULL : "film.mpg", list ? 0 : 8, now));
        settle();
        OK(p2pgate_terminal_wanted(terminals[CALLER], session, &wanted));
        CHECK(wanted.name_length == (list ? 0 : 8));
        OK(p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
        settle();
        OK(p2pgate_terminal_offered(terminals[CALLEE], theirs, &offered));
        CHECK(offered.fetched == 1 && offered.name_length == 8);
        arrived = 0;
        memset(received, 0, sizeof received);
        OK(p2pgate_terminal_accept(terminals[CALLEE], theirs, 0, now));
        settle();
        CHECK(arrived == SIZE && memcmp(received, recording, SIZE) == 0);
        OK(p2pgate_terminal_stored(terminals[CALLEE], theirs, now));
        settle();
    }
    OK(p2pgate_terminal_share(terminals[CALLER], 0));
}

void test_world(void)
{
    uint8_t broker_key[32];
    p2pgate_status_t status;
    p2pgate_peer_t peer;
    p2pgate_offered_t offered;
    p2pgate_entry_t entry;
    p2pgate_offer_t good = offer(), bad;
    uint32_t session, theirs;
    uint64_t deadline;

    for (size_t at = 0; at < SIZE; at++)
        recording[at] = (uint8_t)(at * 7 + at / 251);
    memset(hash, 9, sizeof hash);
    hub = harness_broker(broker_key);
    start(CALLER, "living-room", broker_key);
    start(CALLEE, "bedroom", broker_key);

    /* Not on the list. */
    call(P2PGATE_OK);
    CHECK(seen[CALLER][P2PGATE_EVENT_DENIED] == 1);
    CHECK(last[CALLER][P2PGATE_EVENT_DENIED].cause == P2PGATE_DENIED_NOT_PERMITTED);

    test_group();

    /* On it, but busy. */
    memset(&entry, 0, sizeof entry);
    entry.identifier = "living-room";
    entry.identifier_length = 11;
    OK(p2pgate_terminal_permit(terminals[CALLEE], &entry, 1, NULL, 0));
    settle();
    CHECK(seen[CALLEE][P2PGATE_EVENT_REGISTERED] == 1 && last[CALLEE][P2PGATE_EVENT_REGISTERED].number > 0);
    OK(p2pgate_terminal_status(terminals[CALLEE], &status));
    CHECK(status.registered == 1 && status.relay == 1);
    OK(p2pgate_terminal_set_load(terminals[CALLEE], 90));
    test_deposit();
    CHECK(last[CALLEE][P2PGATE_EVENT_ASKED].flag == 0);

    /* Free. */
    session = call(P2PGATE_OK);
    CHECK(seen[CALLER][P2PGATE_EVENT_CONNECTED] == 1 && seen[CALLEE][P2PGATE_EVENT_CONNECTED] == 1);
    CHECK(last[CALLER][P2PGATE_EVENT_CONNECTED].session == session && last[CALLER][P2PGATE_EVENT_CONNECTED].flag == 0);
    CHECK(seen[CALLER][P2PGATE_EVENT_PERMITTED] == 1 && seen[CALLER][P2PGATE_EVENT_GRANTED] == 1);
    CHECK(seen[CALLEE][P2PGATE_EVENT_EXPECTED] == 1);
    CHECK(call(P2PGATE_E_NO_SESSION) == 0xA5A5A5A5);
    theirs = last[CALLEE][P2PGATE_EVENT_CONNECTED].session;
    OK(p2pgate_terminal_peer(terminals[CALLEE], theirs, &peer));
    CHECK(strcmp((const char *)peer.identifier, "living-room") == 0 && peer.has_key == 1);
    OK(p2pgate_terminal_status(terminals[CALLER], &status));
    CHECK(memcmp(peer.key, status.public_key, 32) == 0);

    /* A transfer, split and resumed. */
#define BAD(want, change) \
    do { \
        bad = good; \
        bad.change; \
        GIVES(want, p2pgate_terminal_offer(terminals[CALLER], session, &bad, now)); \
    } while (0)
    BAD(P2PGATE_E_STRUCT_SIZE, struct_size = 1);
    BAD(P2PGATE_E_NAME, name = "a/b.mpg.");
    BAD(P2PGATE_E_NAME, name_length = 0);
    BAD(P2PGATE_E_NULL, name = NULL);
    BAD(P2PGATE_E_TEXT, name = "\xff\xff\xff\xff\xff\xff\xff\xff");
    BAD(P2PGATE_E_SOURCE, source_length = 7);
    BAD(P2PGATE_E_NULL, source = NULL);
    BAD(P2PGATE_E_ARGUMENT, sealed_way = 4);
    BAD(P2PGATE_E_ARGUMENT, rest_way = 4);
    bad = good;
    bad.sealed_way = bad.rest_way = P2PGATE_WAY_NONE;
    GIVES(P2PGATE_E_NO_LANE, p2pgate_terminal_offer(terminals[CALLER], session, &bad, now));
    memset(&offered, 0xA5, sizeof offered);
    GIVES(P2PGATE_NOTHING, p2pgate_terminal_offered(terminals[CALLEE], theirs, &offered));
    CHECK(untouched(&offered, sizeof offered));
    OK(p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
    GIVES(P2PGATE_E_BUSY, p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
    settle();
    CHECK(seen[CALLEE][P2PGATE_EVENT_OFFERED] == 1);
    OK(p2pgate_terminal_offered(terminals[CALLEE], theirs, &offered));
    CHECK(strcmp((const char *)offered.name, "film.mpg") == 0 && offered.name_length == 8 && offered.size == SIZE);
    CHECK(offered.source_length == 8 && memcmp(offered.source, hash, 8) == 0 && offered.hash == 1 && offered.fetched == 0);
    GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_accept(terminals[CALLEE], theirs, SIZE + 1, now));
    GIVES(P2PGATE_E_OUT_OF_TURN, p2pgate_terminal_stored(terminals[CALLEE], theirs, now));
    arrived = 1234;
    memcpy(received, recording, arrived);
    OK(p2pgate_terminal_accept(terminals[CALLEE], theirs, arrived, now));
    settle();
    CHECK(seen[CALLER][P2PGATE_EVENT_READY] == 1 && last[CALLER][P2PGATE_EVENT_READY].number == 1234);
    CHECK(seen[CALLEE][P2PGATE_EVENT_ARRIVED] == 1 && last[CALLEE][P2PGATE_EVENT_ARRIVED].flag == 1);
    CHECK(memcmp(last[CALLEE][P2PGATE_EVENT_ARRIVED].hash, hash, 32) == 0);
    CHECK(arrived == SIZE && memcmp(received, recording, SIZE) == 0);
    OK(p2pgate_terminal_stored(terminals[CALLEE], theirs, now));
    settle();
    CHECK(seen[CALLER][P2PGATE_EVENT_DELIVERED] == 1);

    /* One that is refused, one that is abandoned, one that can't be stored. */
    OK(p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
    settle();
    OK(p2pgate_terminal_refuse(terminals[CALLEE], theirs, P2PGATE_CAUSE_DECLINED, now));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_TRANSFER_FAILED].cause == P2PGATE_FAILED_REFUSED_BY_RECEIVER);
    OK(p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
    settle();
    OK(p2pgate_terminal_abandon(terminals[CALLER], session, P2PGATE_CAUSE_STOPPED, now));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_TRANSFER_FAILED].cause == P2PGATE_FAILED_ABANDONED);
    CHECK(last[CALLEE][P2PGATE_EVENT_TRANSFER_FAILED].cause == P2PGATE_FAILED_OTHER_END);
    OK(p2pgate_terminal_offer(terminals[CALLER], session, &good, now));
    settle();
    arrived = 0;
    OK(p2pgate_terminal_accept(terminals[CALLEE], theirs, 0, now));
    settle();
    CHECK(seen[CALLEE][P2PGATE_EVENT_ARRIVED] == 2);
    OK(p2pgate_terminal_not_stored(terminals[CALLEE], theirs, P2PGATE_CAUSE_NO_ROOM, now));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_TRANSFER_FAILED].cause == P2PGATE_FAILED_OTHER_END);
    CHECK(seen[CALLER][P2PGATE_EVENT_TRANSFER_FAILED] == 3 && seen[CALLER][P2PGATE_EVENT_DELIVERED] == 1);

    test_fetch(session, theirs);

    /* Struck off the list. */
    OK(p2pgate_terminal_permit(terminals[CALLEE], NULL, 0, &entry, 1));
    settle();
    CHECK(last[CALLEE][P2PGATE_EVENT_CLOSED].cause == P2PGATE_CLOSED_WITHDRAWN);
    CHECK(seen[CALLER][P2PGATE_EVENT_CLOSED] == 1);
    GIVES(P2PGATE_E_NOT_OPEN, p2pgate_terminal_offer(terminals[CALLER], session, &good, now));

    /* The application closes a session before anything has come of it. */
    session = 0;
    OK(p2pgate_terminal_call(terminals[CALLER], "bedroom", 7, now, &session));
    OK(p2pgate_terminal_close(terminals[CALLER], session));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_CLOSED].cause == P2PGATE_CLOSED_HERE);

    /* The control link is lost and tried again. */
    OK(p2pgate_terminal_link_closed(terminals[CALLER], 1, now));
    settle();
    CHECK(last[CALLER][P2PGATE_EVENT_OFFLINE].cause == P2PGATE_OFFLINE_UNREACHABLE);
    OK(p2pgate_terminal_poll_timeout(terminals[CALLER], &deadline));
    CHECK(deadline > now);
    now = deadline;
    OK(p2pgate_terminal_handle_timeout(terminals[CALLER], now));
    settle();
    CHECK(seen[CALLER][P2PGATE_EVENT_ONLINE] == 2);

    OK(p2pgate_terminal_deinit(terminals[CALLER]));
    OK(p2pgate_terminal_deinit(terminals[CALLEE]));
    harness_broker_end(hub);
}
