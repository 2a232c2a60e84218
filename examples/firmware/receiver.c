/*
 * A device that receives: it enrols, registers its list, answers for its load, takes a permitted caller and checks the recording that it sends.
 *
 * No heap, no threads, no operating system. All that the interrupts do is fill and empty the UARTs' rings; the rest is the loop in main().
 */
#include "p2pgate.h"

#include "board/board.h"
#include "modem.h"

#define SESSIONS 1
#define PEERS 4
/* The largest record and frame that it takes; each link has a buffer for the larger of them and its length. */
#define RECORD 512
#define FRAME 640
#define BUFFER (FRAME + 4)
/* Control link, peer link and two lanes. */
#define CHANNELS 4
/* Busy from so many per cent on, free again so many below. */
#define LOAD_LIMIT 80
#define LOAD_HYSTERESIS 10
#define LOAD_EVERY_MS 1000

enum phase { FREE, OPENING, OPEN, CLOSING };

/* A UART, and the connection that the modem has put on it. */
static struct channel {
    enum phase phase;
    uint32_t link;
    /* Bytes each way since the start: by these both sides know where one connection ends and the next begins. */
    uint32_t taken, given;
    /* The modem's side has ended: it brings no byte from `end` on. */
    bool ended;
    uint32_t end;
    /* What came and is not used; the terminal does nothing with less than `need`. */
    size_t length, need;
    /* The terminal would not take it at this `turn`. */
    bool blocked;
    uint32_t turn;
    uint8_t buffer[BUFFER];
} channels[CHANNELS];

static uint64_t terminal[P2PGATE_TERMINAL_WORDS(SESSIONS, PEERS)];
/* What is being written, to one channel at a time. */
static uint8_t out[P2PGATE_TRANSMIT_LENGTH(PEERS)];
static size_t out_length, out_at;
static unsigned out_channel;
/* Counts whatever goes on: a link that is blocked is tried again after that, and the terminal asked what to write. */
static uint32_t turn, transmitted;
static uint32_t ringing;
static bool working;
/* Four times the load, per cent, and when it is measured next. */
static uint32_t load_of_four;
static uint64_t load_due;
static char broker[48];

/* The recording on its way in. */
static uint64_t arrived;
static p2pgate_sha256_t hash;

/* What the library's calls took, and had taken before the newest; and when a call for STATUS began the connection that is now. */
static uint64_t spent, spent_before, connection_from;

#define SPENDING(call) \
    do { \
        const uint64_t before = ticks(); \
        spent_before = spent; \
        call; \
        spent += ticks() - before; \
    } while (0)

static void say_figure(const char *name, uint64_t value)
{
    say("figure ");
    say(name);
    say(" ");
    say_number(value);
    say("\n");
}

static void say_cause(const char *what, uint32_t cause)
{
    say(what);
    say(" ");
    say_number(cause);
    say("\n");
}

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

/* On the host, a file of its own; a product has a random generator in its chip. */
static void entropy(uint8_t bytes[32])
{
    if (host_read("/dev/urandom", bytes, 32) != 32) {
        say("no entropy\n");
        host_exit(1);
    }
}

/* What was made once and stored, or is made now. */
static void stored_or_fresh(const char *name, uint8_t bytes[32])
{
    if (host_read(name, bytes, 32) == 32)
        return;
    entropy(bytes);
    if (!host_replace(name, bytes, 32)) {
        say("cannot store ");
        say(name);
        say("\n");
        host_exit(1);
    }
}

/* The text behind `name` in the configuration's lines, from `from` on; both end where the line does. */
static const char *setting(const char *from, const char *name, size_t *length)
{
    for (const char *line = from; *line != '\0';) {
        const char *end = line, *at = line, *word = name;
        while (*end != '\0' && *end != '\n')
            end++;
        while (*word != '\0' && *at == *word)
            at++, word++;
        if (*word == '\0' && *at == ' ') {
            *length = (size_t)(end - at - 1);
            return at + 1;
        }
        line = *end == '\n' ? end + 1 : end;
    }
    return NULL;
}

static const char *must_have(const char *text, const char *name, size_t *length)
{
    const char *value = setting(text, name, length);
    if (value == NULL) {
        say("the configuration lacks ");
        say(name);
        say("\n");
        host_exit(1);
    }
    return value;
}

/* The list: as it was before the reset, or at first as configured. */
static void set_list(const char *text)
{
    uint8_t blob[P2PGATE_BLOB_LENGTH(PEERS)];
    p2pgate_entry_t entries[PEERS];
    size_t count = 0, length;
    const int stored = host_read("list", blob, sizeof blob);
    if (stored >= 0) {
        must("restore", p2pgate_terminal_restore(terminal, blob, (size_t)stored));
        return;
    }
    memset(entries, 0, sizeof entries);
    for (const char *name = text; count < PEERS && (name = setting(name, "permit", &length)) != NULL; count++, name += length) {
        entries[count].identifier = name;
        entries[count].identifier_length = length;
    }
    must("permit", p2pgate_terminal_permit_create(terminal, entries, count));
}

/* Makes the terminal of the configuration and of what outlasted the last reset. */
static void set_up(void)
{
    uint8_t secret_key[32], broker_key[32], seed[32], fresh[32];
    p2pgate_config_t config;
    size_t length;
    const int read = host_read("configuration", out, sizeof out - 1);
    if (read <= 0) {
        say("no configuration\n");
        host_exit(1);
    }
    out[read] = '\0';
    const char *text = (const char *)out;

    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.identifier = must_have(text, "identifier", &config.identifier_length);
    const char *value = must_have(text, "broker-key", &length);
    must("broker-key", p2pgate_parse_fingerprint(value, length, broker_key));
    value = must_have(text, "broker", &length);
    memcpy(broker, value, length < sizeof broker ? length : sizeof broker - 1);
    stored_or_fresh("secret", secret_key);
    stored_or_fresh("seed", seed);
    entropy(fresh);
    config.secret_key = secret_key;
    config.broker_key = broker_key;
    config.max_record = RECORD;
    config.max_frame = FRAME;
    config.suite = P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80;
    config.listen = 1;
    config.load_limit = LOAD_LIMIT;
    config.load_hysteresis = LOAD_HYSTERESIS;
    config.load_sessions = SESSIONS;
    must("init", p2pgate_terminal_init(terminal, P2PGATE_TERMINAL_WORDS(SESSIONS, PEERS), SESSIONS, PEERS, &config, seed, fresh, seed));
    if (!host_replace("seed", seed, sizeof seed)) {
        say("cannot store the seed\n");
        host_exit(1);
    }
    must("wipe", p2pgate_wipe(secret_key, sizeof secret_key));

    set_list(text);
    const int ticket = host_read("ticket", out, sizeof out);
    if (ticket > 0)
        must("enrol", p2pgate_terminal_enrol(terminal, (const char *)out, (size_t)ticket));
    must("wipe", p2pgate_wipe(out, sizeof out));
}

static bool store_list(void)
{
    uint8_t blob[P2PGATE_BLOB_LENGTH(PEERS)];
    size_t length;
    return p2pgate_terminal_blob(terminal, blob, sizeof blob, &length) == P2PGATE_OK && host_replace("list", blob, length);
}

static struct channel *find(uint32_t link)
{
    for (struct channel *channel = channels; channel < channels + CHANNELS; channel++)
        if ((channel->phase == OPENING || channel->phase == OPEN) && channel->link == link)
            return channel;
    return NULL;
}

static struct channel *take_free(void)
{
    for (struct channel *channel = channels; channel < channels + CHANNELS; channel++)
        if (channel->phase == FREE) {
            channel->ended = false;
            channel->blocked = false;
            channel->length = 0;
            channel->need = 1;
            return channel;
        }
    return NULL;
}

static unsigned number_of(const struct channel *channel)
{
    return (unsigned)(channel - channels);
}

/* Ends this side of a channel: it is free once the modem's side has ended too and all that it brought has come. */
static void hang_up(struct channel *channel)
{
    modem_close(number_of(channel), channel->given);
    channel->phase = CLOSING;
}

static void connect(uint32_t link, const p2pgate_address_t *address)
{
    /* Who only receives connects to nobody but the broker. */
    struct channel *channel = address->family == 0 ? take_free() : NULL;
    if (channel == NULL) {
        p2pgate_terminal_link_closed(terminal, link, milliseconds());
        return;
    }
    channel->phase = OPENING;
    channel->link = link;
    modem_connect(number_of(channel), broker);
}

static void answer_ring(void)
{
    struct channel *channel;
    while (ringing > 0 && (channel = take_free()) != NULL) {
        ringing--;
        modem_accept(number_of(channel));
        channel->phase = OPEN;
        if (p2pgate_terminal_accepted(terminal, milliseconds(), &channel->link) != P2PGATE_OK)
            hang_up(channel);
    }
}

static void say_peer(const char *what, uint32_t session)
{
    p2pgate_peer_t peer;
    if (p2pgate_terminal_peer(terminal, session, &peer) != P2PGATE_OK)
        return;
    say(what);
    say(" ");
    say_bytes(peer.identifier, peer.identifier_length);
    say("\n");
}

static void take_offer(uint32_t session)
{
    p2pgate_offered_t offered;
    if (p2pgate_terminal_offered(terminal, session, &offered) != P2PGATE_OK)
        return;
    say("offered ");
    say_bytes(offered.name, offered.name_length);
    say(" bytes ");
    say_number(offered.size);
    say("\n");
    arrived = 0;
    must("hash", p2pgate_sha256_init(&hash));
    p2pgate_terminal_accept(terminal, session, 0, milliseconds());
}

static void check(const p2pgate_event_t *event)
{
    uint8_t digest[32];
    must("hash", p2pgate_sha256_finish(&hash, digest));
    const bool right = event->flag == 0 || memcmp(digest, event->hash, sizeof digest) == 0;
    say("received bytes ");
    say_number(arrived);
    say(" sha256 ");
    say_hex(digest, sizeof digest);
    say(event->flag == 0 ? " unchecked\n" : right ? " right\n" : " WRONG\n");
    if (right)
        p2pgate_terminal_stored(terminal, event->session, milliseconds());
    else
        p2pgate_terminal_not_stored(terminal, event->session, P2PGATE_CAUSE_WRONG_HASH, milliseconds());
    say_figure("stack_bytes", stack_used());
    say_figure("data_bytes", data_used());
}

static void act(const p2pgate_event_t *event)
{
    struct channel *channel;
    switch (event->kind) {
    case P2PGATE_EVENT_CONNECT:
        connect(event->link, &event->address);
        break;
    case P2PGATE_EVENT_CLOSE:
        channel = find(event->link);
        if (channel != NULL)
            hang_up(channel);
        break;
    case P2PGATE_EVENT_PERSIST:
        if (store_list())
            p2pgate_terminal_persisted(terminal);
        else
            say("cannot store the list\n");
        break;
    case P2PGATE_EVENT_ONLINE:
        host_remove("ticket");
        say("online\n");
        break;
    case P2PGATE_EVENT_OFFLINE:
        say_cause("offline", event->cause);
        break;
    case P2PGATE_EVENT_REGISTERED:
        say("registered\n");
        break;
    case P2PGATE_EVENT_REGISTER_FAILED:
        say_cause("register failed", event->cause);
        break;
    case P2PGATE_EVENT_ADDRESS_KNOWN:
        say("ready\n");
        break;
    case P2PGATE_EVENT_ASKED:
        say(event->flag ? "asked free\n" : "asked busy\n");
        connection_from = spent_before;
        break;
    case P2PGATE_EVENT_EXPECTED:
        say_peer("expected", event->session);
        break;
    case P2PGATE_EVENT_UNEXPECTED:
        say(event->flag ? "unexpected: another key\n" : "unexpected: not on the list\n");
        break;
    case P2PGATE_EVENT_REFUSED:
        say_cause("refused", event->cause);
        break;
    case P2PGATE_EVENT_CONNECTED:
        say_peer(event->flag ? "connected through the broker" : "connected", event->session);
        break;
    case P2PGATE_EVENT_OFFERED:
        say_figure("connection_instructions", instructions(spent - connection_from));
        take_offer(event->session);
        break;
    case P2PGATE_EVENT_ARRIVED:
        check(event);
        break;
    case P2PGATE_EVENT_TRANSFER_FAILED:
        say_cause("transfer failed", event->cause);
        break;
    case P2PGATE_EVENT_CLOSED:
        say_cause("closed", event->cause);
        break;
    default:
        break;
    }
}

static bool take_events(void)
{
    p2pgate_event_t event;
    bool any = false;
    while (p2pgate_terminal_poll_event(terminal, &event) == P2PGATE_OK) {
        act(&event);
        turn++;
        any = true;
    }
    return any;
}

/* The bytes of one frame, in the recording's order. A product writes them to its disk here. */
static void take_payload(uint64_t offset, const uint8_t *bytes, size_t length)
{
    if (offset != arrived) {
        say("out of order\n");
        host_exit(1);
    }
    must("hash", p2pgate_sha256_update(&hash, bytes, length));
    arrived += length;
}

/* Reads as much as the terminal needs next and no more, so that nothing is left over to be moved. */
static bool has_needed(struct channel *channel)
{
    if (channel->length < channel->need) {
        const size_t came = uart_read(number_of(channel), channel->buffer + channel->length, channel->need - channel->length);
        channel->length += came;
        channel->taken += (uint32_t)came;
    }
    return channel->length >= channel->need;
}

/* Hands a channel's bytes to the terminal. */
static bool feed(struct channel *channel)
{
    bool any = false;
    while (channel->phase == OPEN && has_needed(channel) && !(channel->blocked && channel->turn == turn)) {
        p2pgate_input_t input;
        SPENDING(must("input", p2pgate_terminal_handle_input(terminal, channel->link, channel->buffer, channel->length, milliseconds(),
                                                             &input)));
        channel->blocked = input.step == P2PGATE_STEP_BLOCKED;
        channel->turn = turn;
        if (channel->blocked)
            break;
        if (input.step == P2PGATE_STEP_NEED_MORE) {
            channel->need = input.need;
            continue;
        }
        if (input.step == P2PGATE_STEP_PAYLOAD)
            take_payload(input.offset, channel->buffer + input.payload.start, input.payload.length);
        channel->length = input.step == P2PGATE_STEP_CLOSED ? 0 : channel->length - input.consumed;
        memmove(channel->buffer, channel->buffer + input.consumed, channel->length);
        channel->need = channel->length > 0 ? channel->length : 1;
        turn++;
        any = true;
        /* Events first: they may be what the next bytes wait for. */
        take_events();
    }
    return any;
}

/* The modem has ended its side, and all that it brought has been seen. */
static bool is_over(const struct channel *channel)
{
    return channel->ended && channel->taken == channel->end && (channel->phase != OPEN || channel->length < channel->need);
}

static bool serve(struct channel *channel)
{
    bool any = feed(channel);
    if (channel->phase == CLOSING) {
        uint8_t unwanted[16];
        size_t came;
        while ((came = uart_read(number_of(channel), unwanted, sizeof unwanted)) > 0)
            channel->taken += (uint32_t)came;
    }
    if (channel->phase != FREE && is_over(channel)) {
        if (channel->phase != CLOSING) {
            p2pgate_terminal_link_closed(terminal, channel->link, milliseconds());
            hang_up(channel);
            turn++;
        }
        channel->phase = FREE;
        any = true;
    }
    return any;
}

/* Writes on; true once nothing waits to be written. */
static bool has_written(void)
{
    out_at += uart_write(out_channel, out + out_at, out_length - out_at);
    return out_at == out_length;
}

/* Writes what the terminal gives, as fast as the UARTs take it. */
static bool transmit(void)
{
    bool any = false;
    if (!has_written() || transmitted == turn)
        return false;
    for (struct channel *channel = channels; channel < channels + CHANNELS; channel++)
        while (channel->phase == OPEN) {
            p2pgate_result_t result;
            size_t length;
            SPENDING(result = p2pgate_terminal_poll_transmit(terminal, channel->link, out, sizeof out, milliseconds(), &length));
            if (result == P2PGATE_E_LINK_CLOSED)
                hang_up(channel);
            if (result != P2PGATE_OK)
                break;
            out_channel = number_of(channel);
            out_length = length;
            out_at = 0;
            channel->given += (uint32_t)length;
            turn++;
            any = true;
            if (!has_written())
                return any;
        }
    transmitted = turn;
    return any;
}

static void listen_at(uint32_t port)
{
    p2pgate_address_t address;
    memset(&address, 0, sizeof address);
    address.family = 4;
    address.port = port;
    must("listen", p2pgate_terminal_listen_at(terminal, &address, 1));
}

static bool take_lines(void)
{
    struct modem_line line;
    bool any = false;
    while (modem_next(&line)) {
        struct channel *channel = &channels[line.channel % CHANNELS];
        any = true;
        switch (line.kind) {
        case MODEM_OPENED:
            turn++;
            if (channel->phase == OPENING) {
                channel->phase = OPEN;
                p2pgate_terminal_link_opened(terminal, channel->link, milliseconds());
            }
            break;
        case MODEM_CLOSED:
            channel->ended = true;
            channel->end = line.number;
            break;
        case MODEM_RING:
            ringing++;
            break;
        case MODEM_LISTENING:
            turn++;
            listen_at(line.number);
            must("connect", p2pgate_terminal_connect(terminal, milliseconds()));
            break;
        case MODEM_WORK:
            working = line.number != 0;
            break;
        }
    }
    return any;
}

/* The load of the last few seconds: a handshake alone does not make it busy. */
static void measure(void)
{
    const uint32_t before = load_of_four / 4;
    if (milliseconds() < load_due)
        return;
    load_due = milliseconds() + LOAD_EVERY_MS;
    load_of_four = load_of_four - before + load_since_last();
    const uint32_t load = load_of_four / 4;
    p2pgate_terminal_set_load(terminal, load);
    if ((before < LOAD_LIMIT) != (load < LOAD_LIMIT))
        say_cause("load", load);
}

static void keep_time(void)
{
    uint64_t deadline;
    if (p2pgate_terminal_poll_timeout(terminal, &deadline) == P2PGATE_OK && milliseconds() >= deadline) {
        SPENDING(must("timeout", p2pgate_terminal_handle_timeout(terminal, milliseconds())));
        turn++;
    }
}

int main(void)
{
    clock_start();
    uart_start();
    set_up();
    modem_listen();
    for (;;) {
        bool any = take_lines();
        keep_time();
        for (struct channel *channel = channels; channel < channels + CHANNELS; channel++)
            any |= serve(channel);
        any |= take_events();
        answer_ring();
        any |= transmit();
        measure();
        /* `working` stands for all else that a recorder does. */
        if (!any && !working)
            rest();
    }
}
