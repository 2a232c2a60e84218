#include "node.h"

#include <string.h>

/* How long a connection that is being closed may take to write what is left. */
#define LAST_WORDS_MS 5000
/* Steps of one link before the others have their turn, and turns of all links before the program has its own. */
#define STEPS 32
#define ROUNDS 8

static struct wire *find(struct node *node, uint32_t link)
{
    for (struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++)
        if (wire->phase != WIRE_FREE && wire->link == link)
            return wire;
    return NULL;
}

static struct wire *find_free(struct node *node)
{
    for (struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++)
        if (wire->phase == WIRE_FREE)
            return wire;
    return NULL;
}

static int slot_of(const struct node *node, const struct wire *wire)
{
    return (int)(wire - node->wires);
}

static void begin(struct wire *wire, uint32_t link, int phase)
{
    wire->phase = phase ? WIRE_OPEN : WIRE_CONNECTING;
    wire->link = link;
    wire->to_broker = 0;
    wire->start = wire->end = 0;
    wire->need = 1;
    wire->out = wire->output;
    wire->out_start = wire->out_end = 0;
}

static void drop_frame(struct node *node, uint32_t link)
{
    if (node->frame_link == link)
        node->frame_start = node->frame_end = 0;
}

/* A connection is gone, and whatever it brought is handed in. */
static void lost(struct node *node, struct wire *wire)
{
    const int told = wire->phase == WIRE_CLOSING;

    net_close(slot_of(node, wire));
    wire->phase = WIRE_FREE;
    drop_frame(node, wire->link);
    /* What has passed over it was the other terminal's and the broker's alone. */
    p2pgate_wipe(wire->input, sizeof wire->input);
    p2pgate_wipe(wire->output, sizeof wire->output);
    if (!told)
        p2pgate_terminal_link_closed(node->terminal, wire->link, net_now());
}

/* --- what the terminal orders ------------------------------------------------------------------------------------------------------------------------ */

static void connect_wire(struct node *node, const p2pgate_event_t *event)
{
    const int to_broker = event->address.family == 0;
    struct wire *wire = find_free(node);
    p2pgate_address_t address = event->address;
    int failed = wire == NULL;

    if (!failed && to_broker && net_resolve(node->broker, node->broker_try, &address) != 0) {
        /* All of its addresses were tried: it is looked up anew. */
        node->broker_try = 0;
        failed = net_resolve(node->broker, 0, &address) != 0;
    }
    if (failed || net_connect(slot_of(node, wire), &address) != 0) {
        node->broker_try += to_broker;
        p2pgate_terminal_link_closed(node->terminal, event->link, net_now());
        return;
    }
    if (to_broker && node->tls && net_secure(slot_of(node, wire), node->broker, node->authorities) != 0) {
        net_close(slot_of(node, wire));
        p2pgate_terminal_link_closed(node->terminal, event->link, net_now());
        return;
    }
    begin(wire, event->link, 0);
    wire->to_broker = to_broker;
}

static void close_wire(struct node *node, uint32_t link)
{
    struct wire *wire = find(node, link);

    if (wire == NULL)
        return;
    /* A lane is closed when its transfer is over: what waits for it must not hold up the next one. */
    drop_frame(node, link);
    /* Nor may a list that nobody reads any more hold up the next link's. */
    if (wire->phase != WIRE_OPEN || wire->out == node->list) {
        wire->phase = WIRE_CLOSING;
        lost(node, wire);
        return;
    }
    wire->phase = WIRE_CLOSING;
    wire->close_by = net_now() + LAST_WORDS_MS;
}

static int take_events(struct node *node)
{
    p2pgate_event_t event;
    int any = 0;

    while (p2pgate_terminal_poll_event(node->terminal, &event) == P2PGATE_OK) {
        any = 1;
        if (event.kind == P2PGATE_EVENT_CONNECT)
            connect_wire(node, &event);
        else if (event.kind == P2PGATE_EVENT_CLOSE)
            close_wire(node, event.link);
        else
            node->event(node->owner, &event);
    }
    return any;
}

/* --- out --------------------------------------------------------------------------------------------------------------------------------------------- */

/* Writes what the connection takes of `bytes` from `start` on: -1 if it is lost. */
static int write_some(int slot, const uint8_t *bytes, size_t *start, size_t end)
{
    while (*start < end) {
        const long written = net_write(slot, bytes + *start, end - *start);
        if (written <= 0)
            return (int)written;
        *start += (size_t)written;
    }
    return 0;
}

/* What the terminal says next on a link. */
static int fill(struct node *node, struct wire *wire)
{
    p2pgate_result_t result;

    wire->out = wire->output;
    result = p2pgate_terminal_poll_transmit(node->terminal, wire->link, wire->output, sizeof wire->output, net_now(), &wire->out_end);
    if (result == P2PGATE_E_BUFFER) { /* only a list is as long as that, and only the control link tells it */
        wire->out = node->list;
        result = p2pgate_terminal_poll_transmit(node->terminal, wire->link, node->list, sizeof node->list, net_now(), &wire->out_end);
    }
    wire->out_start = 0;
    if (result != P2PGATE_OK)
        wire->out_end = 0;
    return result == P2PGATE_OK;
}

/* What the terminal has to say on a link, one buffer after the other as they are written; then the frame that waits for it. */
static int transmit(struct node *node, struct wire *wire)
{
    const int slot = slot_of(node, wire);
    int any = 0;

    for (;;) {
        if (write_some(slot, wire->out, &wire->out_start, wire->out_end) < 0) {
            lost(node, wire);
            return 1;
        }
        if (wire->out_start < wire->out_end)
            return any;
        if (wire->phase == WIRE_CLOSING) {
            lost(node, wire);
            return 1;
        }
        if (!fill(node, wire))
            break;
        any = 1;
    }
    if (node->frame_link == wire->link && node->frame_start < node->frame_end &&
        write_some(slot, node->frame, &node->frame_start, node->frame_end) < 0) {
        lost(node, wire);
        return 1;
    }
    return any;
}

static void send_frame(struct node *node, const p2pgate_frame_t *frame)
{
    struct wire *wire = find(node, frame->link);

    node->frame_link = frame->link;
    node->frame_start = frame->range.start;
    node->frame_end = frame->range.start + frame->range.length;
    if (wire != NULL && wire->phase == WIRE_OPEN)
        transmit(node, wire);
    else
        drop_frame(node, frame->link); /* lost: the terminal says so */
}

p2pgate_result_t node_send(struct node *node, uint32_t session, const p2pgate_piece_t *piece, const uint8_t *bytes)
{
    p2pgate_frame_t frame;
    p2pgate_result_t result;

    if (piece->length > RECORDER_PAYLOAD)
        return P2PGATE_E_PAYLOAD;
    memcpy(node->frame + P2PGATE_LANE_HEADROOM, bytes, piece->length);
    result = p2pgate_terminal_seal(node->terminal, session, piece, node->frame, P2PGATE_LANE_HEADROOM + piece->length + P2PGATE_LANE_TAILROOM, net_now(),
                                   &frame);
    if (result == P2PGATE_OK)
        send_frame(node, &frame);
    return result;
}

p2pgate_result_t node_send_end(struct node *node, uint32_t session, uint32_t class_, uint64_t segments, const uint8_t *hash)
{
    p2pgate_frame_t frame;
    const p2pgate_result_t result = p2pgate_terminal_seal_end(node->terminal, session, class_, segments, hash, node->frame,
                                                              P2PGATE_LANE_HEADROOM + 32 + P2PGATE_LANE_TAILROOM, net_now(), &frame);

    if (result == P2PGATE_OK)
        send_frame(node, &frame);
    return result;
}

int node_can_send(const struct node *node)
{
    return node->frame_start == node->frame_end;
}

int node_is_drained(const struct node *node)
{
    for (const struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++)
        if ((wire->phase == WIRE_OPEN || wire->phase == WIRE_CLOSING) && wire->out_start < wire->out_end)
            return 0;
    return node_can_send(node);
}

/* --- in ---------------------------------------------------------------------------------------------------------------------------------------------- */

/* Reads behind what is there; what has been consumed makes room where that is needed. */
static long read_wire(struct node *node, struct wire *wire)
{
    long got;

    if (wire->start == wire->end) {
        wire->start = wire->end = 0;
    } else if (wire->start + wire->need > sizeof wire->input) {
        memmove(wire->input, wire->input + wire->start, wire->end - wire->start);
        wire->end -= wire->start;
        wire->start = 0;
    }
    got = net_read(slot_of(node, wire), wire->input + wire->end, sizeof wire->input - wire->end);
    if (got > 0)
        wire->end += (size_t)got;
    return got;
}

/* One link's turn. */
static int take_input(struct node *node, struct wire *wire)
{
    int any = 0;

    for (int step = 0; step < STEPS && wire->phase == WIRE_OPEN; step++) {
        p2pgate_input_t input;
        uint8_t *bytes;
        if (wire->end - wire->start < wire->need) {
            const long got = read_wire(node, wire);
            if (got == 0)
                return any;
            if (got < 0)
                lost(node, wire);
            any = 1;
            continue;
        }
        bytes = wire->input + wire->start;
        if (p2pgate_terminal_handle_input(node->terminal, wire->link, bytes, wire->end - wire->start, net_now(), &input) != P2PGATE_OK)
            return any;
        wire->need = 1;
        if (input.step == P2PGATE_STEP_NEED_MORE)
            wire->need = input.need;
        else if (input.step == P2PGATE_STEP_PAYLOAD &&
                 node->payload(node->owner, input.session, input.offset, bytes + input.payload.start, input.payload.length) != 0)
            p2pgate_terminal_abandon(node->terminal, input.session, P2PGATE_CAUSE_NOT_STORED, net_now());
        /* Opened in place: there may be a password or a key in it. */
        if (input.step != P2PGATE_STEP_PAYLOAD)
            p2pgate_wipe(bytes, input.consumed);
        wire->start += input.consumed;
        /* Blocked: what is there stays, and nothing more is read until something else went on. Closed: P2PGATE_EVENT_CLOSE follows. */
        if (input.step == P2PGATE_STEP_BLOCKED || input.step == P2PGATE_STEP_CLOSED)
            return any;
        any = 1;
    }
    return any;
}

static void accept_callers(struct node *node)
{
    struct wire *wire;

    while (node->listens && (wire = find_free(node)) != NULL && net_accept(slot_of(node, wire))) {
        uint32_t link;
        if (p2pgate_terminal_accepted(node->terminal, net_now(), &link) == P2PGATE_OK)
            begin(wire, link, 1);
        else
            net_close(slot_of(node, wire)); /* too many at once: it may come again */
    }
}

static void finish_connecting(struct node *node)
{
    for (struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++) {
        enum net_state state;
        if (wire->phase != WIRE_CONNECTING || (state = net_state(slot_of(node, wire))) == NET_CONNECTING)
            continue;
        if (state == NET_OPEN) {
            wire->phase = WIRE_OPEN;
            p2pgate_terminal_link_opened(node->terminal, wire->link, net_now());
        } else {
            node->broker_try += wire->to_broker;
            lost(node, wire);
        }
    }
}

/* --- the loop ---------------------------------------------------------------------------------------------------------------------------------------- */

void node_wait(struct node *node, uint64_t longest)
{
    struct net_interest interest;
    uint64_t deadline, now = net_now();

    memset(&interest, 0, sizeof interest);
    for (struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++) {
        const int slot = slot_of(node, wire);
        const int frame = !node_can_send(node) && node->frame_link == wire->link;
        if (wire->phase == WIRE_FREE) {
            interest.accept = node->listens != 0;
            continue;
        }
        interest.read[slot] = wire->phase == WIRE_OPEN && wire->end - wire->start < wire->need;
        interest.write[slot] = wire->phase == WIRE_CONNECTING || wire->out_start < wire->out_end || frame;
        if (wire->phase == WIRE_CLOSING && wire->close_by < now + longest)
            longest = wire->close_by > now ? wire->close_by - now : 0;
    }
    if (p2pgate_terminal_poll_timeout(node->terminal, &deadline) == P2PGATE_OK && deadline < now + longest)
        longest = deadline > now ? deadline - now : 0;
    net_wait(&interest, node->busy ? 0 : longest);
}

void node_work(struct node *node)
{
    uint64_t deadline;

    accept_callers(node);
    finish_connecting(node);
    if (p2pgate_terminal_poll_timeout(node->terminal, &deadline) == P2PGATE_OK && deadline <= net_now())
        p2pgate_terminal_handle_timeout(node->terminal, net_now());
    node->busy = 1;
    for (int round = 0; round < ROUNDS && node->busy; round++) {
        node->busy = take_events(node);
        for (struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++) {
            if (wire->phase == WIRE_OPEN || wire->phase == WIRE_CLOSING)
                node->busy |= transmit(node, wire);
            if (wire->phase == WIRE_OPEN)
                node->busy |= take_input(node, wire);
            if (wire->phase == WIRE_CLOSING && wire->close_by <= net_now())
                lost(node, wire);
        }
    }
}

static int is_loopback(const p2pgate_address_t *address)
{
    static const uint8_t loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

    return address->family == 4 ? address->ip[0] == 127 : memcmp(address->ip, loopback, sizeof loopback) == 0;
}

p2pgate_result_t node_init(struct node *node, const struct node_options *options, uint8_t new_seed[P2PGATE_KEY_LENGTH])
{
    p2pgate_config_t config;
    p2pgate_address_t broker;

    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.identifier = options->identifier;
    config.identifier_length = strlen(options->identifier);
    config.secret_key = options->secret_key;
    config.broker_key = options->broker_key;
    config.max_record = NODE_RECORD;
    config.max_frame = NODE_FRAME;
    /* Where the processor has instructions for AES, P2PGATE_SUITE_AES_128_GCM_SHA256_128 is faster. */
    config.suite = P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80;
    config.listen = options->listens != 0;
    config.allow_loopback = net_resolve(node->broker, 0, &broker) == 0 && is_loopback(&broker);
    config.load_limit = options->load_limit;
    config.load_hysteresis = 10;
    config.load_sessions = options->load_sessions;
    node->listens = options->listens;
    return p2pgate_terminal_init(node->terminal, sizeof node->terminal / sizeof node->terminal[0], RECORDER_SESSIONS, RECORDER_PEERS, &config,
                                 options->seed, options->entropy, new_seed);
}

void node_deinit(struct node *node)
{
    for (struct wire *wire = node->wires; wire < node->wires + NET_SLOTS; wire++)
        if (wire->phase != WIRE_FREE) {
            wire->phase = WIRE_CLOSING;
            lost(node, wire);
        }
    p2pgate_terminal_deinit(node->terminal);
}
