/* send: one recording to one recorder, by the ways that its attribute asks for (P8, V10). */
#include "commands.h"
#include "outgoing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* With auto: smaller recordings go through the broker unless the user says another size. */
#define RELAY_BELOW ((uint64_t)16 << 20)
/* Pieces sealed before input is looked at again. */
#define STRIDE 64

struct sending {
    const char *to, *path;
    int split, seal_rest, hash;
    int file;
    struct stat status; /* of the file at the start */
    uint32_t attribute;
    uint64_t sealed_bytes, rest_bytes;
    uint32_t way[2];    /* by class; P2PGATE_WAY_NONE: it has no lane */
    uint64_t sent[4];   /* payload bytes by way */
    uint32_t session;
    int is_begun;       /* the receiver takes it */
    uint64_t from;      /* from this byte on */
    int to_end[2];      /* lanes whose end isn't out yet, by class */
    int is_delivered;
    struct outgoing outgoing;
};

/* --- the file ---------------------------------------------------------------------------------------------------------------------------------------- */

static int is_unchanged(const struct sending *sending)
{
    struct stat now;

    return fstat(sending->file, &now) == 0 && now.st_size == sending->status.st_size && now.st_mtim.tv_sec == sending->status.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == sending->status.st_mtim.tv_nsec;
}

static void open_file(struct sending *sending)
{
    sending->file = open(sending->path, O_RDONLY | O_CLOEXEC);
    if (sending->file < 0 || fstat(sending->file, &sending->status) != 0)
        die(EXIT_LOCAL, "cannot read %s: %s", sending->path, strerror(errno));
    if (!S_ISREG(sending->status.st_mode))
        die(EXIT_LOCAL, "%s is not a file: name a recording", sending->path);
    sending->sealed_bytes = sending->rest_bytes = (uint64_t)sending->status.st_size;
}

/* What is to be split is looked at from end to end first: whether it can be, and how much of it is sealed. */
static void scan(struct sending *sending)
{
    struct outgoing *outgoing = &sending->outgoing;
    p2pgate_counts_t counts;
    p2pgate_piece_t piece;
    const uint8_t *bytes;
    int more;

    sending->sealed_bytes = sending->rest_bytes = 0;
    outgoing_begin(outgoing, sending->file, 1, sending->seal_rest, 0, SIZE_MAX);
    while ((more = outgoing_next(outgoing, &piece, &bytes)) > 0)
        *(piece.class_ == P2PGATE_CLASS_SEALED ? &sending->sealed_bytes : &sending->rest_bytes) += piece.length;
    if (more < 0)
        die(EXIT_LOCAL, "cannot read %s: %s", sending->path, strerror(errno));
    p2pgate_splitter_counts(outgoing->splitter, &counts);
    if (counts.container == P2PGATE_CONTAINER_UNKNOWN)
        die(EXIT_USAGE, "%s is no MPEG-1 or MPEG-2 recording, so it cannot be split: send it --as confidential", sending->path);
    outgoing_end(outgoing);
}

/* Names this state of the file, so that a transfer that was cut off goes on where it stopped. */
static void name_source(const struct sending *sending, uint8_t source[32])
{
    const uint64_t numbers[] = {(uint64_t)sending->status.st_dev, (uint64_t)sending->status.st_ino, (uint64_t)sending->status.st_size,
                                (uint64_t)sending->status.st_mtim.tv_sec, (uint64_t)sending->status.st_mtim.tv_nsec};
    p2pgate_sha256_t sha256;

    p2pgate_sha256_init(&sha256);
    p2pgate_sha256_update(&sha256, (const uint8_t *)numbers, sizeof numbers);
    p2pgate_sha256_finish(&sha256, source);
    p2pgate_sha256_deinit(&sha256);
}

/* --- what the terminal says -------------------------------------------------------------------------------------------------------------------------- */

static void offer(struct app *app, struct sending *sending)
{
    const char *slash = strrchr(sending->path, '/');
    char name[P2PGATE_MAX_NAME + 1];
    uint8_t source[32];
    p2pgate_offer_t offer;
    p2pgate_result_t result;

    snprintf(name, sizeof name, "%s", slash == NULL ? sending->path : slash + 1);
    for (char *at = name; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '\\')
            *at = '_';
    name_source(sending, source);
    memset(&offer, 0, sizeof offer);
    offer.struct_size = sizeof offer;
    offer.name = name;
    offer.name_length = strlen(name);
    offer.source = source;
    offer.source_length = 16;
    offer.size = (uint64_t)sending->status.st_size;
    offer.sealed_bytes = sending->sealed_bytes;
    offer.rest_bytes = sending->rest_bytes;
    offer.sealed_way = sending->way[P2PGATE_CLASS_SEALED];
    offer.rest_way = sending->way[P2PGATE_CLASS_REST];
    offer.hash = (uint32_t)sending->hash;
    result = p2pgate_terminal_offer(app->node.terminal, sending->session, &offer, net_now());
    /* P2PGATE_E_NOT_OPEN: the session is over already, and its event says why. */
    if (result != P2PGATE_OK && result != P2PGATE_E_NOT_OPEN)
        die(EXIT_LOCAL, "%s: %s", sending->path, p2pgate_strerror(result));
}

void die_denied(const char *to, const p2pgate_event_t *event)
{
    char later[64] = "try again later";

    if (event->flag)
        snprintf(later, sizeof later, "try again in %llu s", (unsigned long long)event->number);
    switch (event->cause) {
    case P2PGATE_DENIED_NOT_PERMITTED:
        die(EXIT_NOT_PERMITTED, "%s does not permit this recorder, or there is no %s: check the name, and have its owner allow this recorder", to, to);
    case P2PGATE_DENIED_NOT_FOUND:
        die(EXIT_NO_ADDRESS, "%s permits this recorder but has never told the broker where it is: have its owner run receive once", to);
    case P2PGATE_DENIED_NOT_CONNECTED:
        die(EXIT_NOT_REACHABLE, "%s is switched off, busy or out of reach: %s", to, later);
    case P2PGATE_DENIED_CALLEE:
        die(EXIT_NOT_PERMITTED, "%s refused this recorder: have its owner allow it", to);
    case P2PGATE_DENIED_KEY_CHANGED:
        die(EXIT_NOT_PERMITTED, "%s has another key than before: ask its owner, and confirm with allow --add '%s=FINGERPRINT'", to, to);
    case P2PGATE_DENIED_UNREACHABLE:
        die(EXIT_NOT_REACHABLE, "%s is out of reach, directly and through the broker: %s, or check its network", to, later);
    case P2PGATE_DENIED_NOT_THE_CALLEE:
        die(EXIT_NOT_REACHABLE, "what answers at %s's address is not %s: have its owner check the address it announces", to, to);
    default:
        die(EXIT_NOT_REACHABLE, "there was no answer in time about %s: %s", to, later);
    }
}

static void die_failed(const char *to, uint32_t cause)
{
    switch (cause) {
    case P2PGATE_FAILED_REFUSED_BY_RECEIVER:
        die(EXIT_REFUSED, "%s refused the recording: it has no room for it, cannot write it, or is taking it already; try again later", to);
    case P2PGATE_FAILED_REFUSED_BY_BROKER:
        die(EXIT_REFUSED, "the broker refused to relay this much: send it direct (--as auto) or ask its operator for a larger limit");
    case P2PGATE_FAILED_DAMAGED:
        die(EXIT_DAMAGED, "what reached %s is not what was sent: send again", to);
    case P2PGATE_FAILED_OTHER_END:
        die(EXIT_REFUSED, "%s could not take or store the recording: ask its owner to look at its disk, then send again", to);
    case P2PGATE_FAILED_LANE_UNREACHABLE:
        die(EXIT_NOT_REACHABLE, "a connection for the data to %s could not be opened: check the network and try again", to);
    default:
        die(EXIT_NOT_REACHABLE, "the connection to %s was lost: send again, it goes on where it stopped", to);
    }
}

static void on_event(struct app *app, const p2pgate_event_t *event)
{
    struct sending *sending = app->command;

    if (event->kind == P2PGATE_EVENT_OFFLINE && !sending->is_begun)
        die_offline(app, event->cause); /* until the session has its own connection it hangs on the broker's */
    /* The other events are the session's, of which there is one. */
    switch (event->kind) {
    case P2PGATE_EVENT_DENIED:
        die_denied(sending->to, event);
        break;
    case P2PGATE_EVENT_DEPOSIT_OFFERED: /* it sends now or not at all; why not comes as P2PGATE_EVENT_DENIED */
        p2pgate_terminal_decline_deposit(app->node.terminal, sending->session, net_now());
        break;
    case P2PGATE_EVENT_CONNECTED:
        if (event->flag) /* a tunnel: all goes through the broker */
            for (int class_ = 0; class_ < 2; class_++)
                if (sending->way[class_] != P2PGATE_WAY_NONE)
                    sending->way[class_] = P2PGATE_WAY_RELAY_SEALED;
        offer(app, sending);
        break;
    case P2PGATE_EVENT_READY:
        sending->is_begun = 1;
        sending->from = event->number;
        break;
    case P2PGATE_EVENT_DELIVERED:
        sending->is_delivered = 1;
        break;
    case P2PGATE_EVENT_TRANSFER_FAILED:
        die_failed(sending->to, event->cause);
        break;
    case P2PGATE_EVENT_CLOSED:
        if (event->cause == P2PGATE_CLOSED_WITHDRAWN)
            die(EXIT_NOT_PERMITTED, "%s no longer permits this recorder: have its owner allow it, then send again", sending->to);
        if (!sending->is_delivered)
            die(EXIT_NOT_REACHABLE, "the connection to %s was lost: send again, it goes on where it stopped", sending->to);
        break;
    default:
        break;
    }
}

/* --- the bytes --------------------------------------------------------------------------------------------------------------------------------------- */

/* Tells the receiver that no more comes. */
static void give_up(struct app *app, struct sending *sending, const char *why)
{
    sending->is_delivered = 1; /* what the session says now is no news */
    app->event = NULL;
    p2pgate_terminal_abandon(app->node.terminal, sending->session, P2PGATE_CAUSE_NOT_READ, net_now());
    app_end(app);
    die(EXIT_LOCAL, "%s: %s", sending->path, why);
}

static void begin(struct app *app, struct sending *sending)
{
    size_t most = 0;

    p2pgate_terminal_max_payload(app->node.terminal, sending->session, &most);
    outgoing_begin(&sending->outgoing, sending->file, sending->split, sending->seal_rest, sending->from, most < RECORDER_PAYLOAD ? most : RECORDER_PAYLOAD);
    for (int class_ = 0; class_ < 2; class_++)
        sending->to_end[class_] = sending->way[class_] != P2PGATE_WAY_NONE;
}

static void end(struct app *app, struct sending *sending)
{
    uint8_t hash[32];

    if (!is_unchanged(sending))
        give_up(app, sending, "it changed while it was sent: wait until its recording is over, then send again");
    outgoing_hash(&sending->outgoing, hash);
    for (uint32_t class_ = 0; class_ < 2; class_++)
        if (sending->to_end[class_] && node_can_send(&app->node)) {
            sending->to_end[class_] = 0;
            /* If that fails the transfer is over, and its event says why. */
            node_send_end(&app->node, sending->session, class_, outgoing_segments(&sending->outgoing), sending->hash ? hash : NULL);
        }
}

/* Seals and writes as much as the lanes take, and at last their ends. */
static void pump(struct app *app, struct sending *sending)
{
    for (int count = 0; count < STRIDE && node_can_send(&app->node); count++) {
        p2pgate_piece_t piece;
        const uint8_t *bytes;
        const int more = outgoing_next(&sending->outgoing, &piece, &bytes);
        if (more < 0)
            give_up(app, sending, strerror(errno));
        if (more == 0) {
            end(app, sending);
            return;
        }
        /* What isn't split goes by the one lane that there is. */
        if (sending->way[piece.class_] == P2PGATE_WAY_NONE)
            piece.class_ = 1 - piece.class_;
        if (piece.offset + piece.length > (uint64_t)sending->status.st_size)
            give_up(app, sending, "it grew while it was sent: wait until its recording is over, then send again");
        if (node_send(&app->node, sending->session, &piece, bytes) != P2PGATE_OK)
            return; /* the transfer is over, and its event says why */
        sending->sent[sending->way[piece.class_]] += piece.length;
    }
}

/* --- the command ------------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t parse_attribute(const char *text)
{
    static const char *const names[] = {"confidential", "public", "split", "auto"}; /* as P2PGATE_ATTRIBUTE_... */

    for (uint32_t at = 0; at < 4; at++)
        if (strcmp(text, names[at]) == 0)
            return at;
    die(EXIT_USAGE, "--as %s: write confidential, public, split or auto", text);
}

void send_recording(struct app *app, const struct options *options)
{
    static struct sending sending;
    const uint64_t started = net_now();
    const uint64_t relay_below = options->relay_below == NULL ? RELAY_BELOW : parse_number("--relay-below", options->relay_below, UINT64_MAX);
    p2pgate_result_t result;

    sending.to = options->to;
    sending.path = options->file;
    sending.attribute = parse_attribute(options->as == NULL ? "confidential" : options->as);
    sending.split = sending.attribute == P2PGATE_ATTRIBUTE_SPLIT;
    sending.seal_rest = options->seal_rest;
    sending.hash = options->hash;
    if (sending.seal_rest && !sending.split)
        die(EXIT_USAGE, "--seal-rest goes with --as split: add that or leave it out");
    if (options->relay_below != NULL && sending.attribute != P2PGATE_ATTRIBUTE_BY_SIZE)
        die(EXIT_USAGE, "--relay-below goes with --as auto: add that or leave it out");
    open_file(&sending);
    if (sending.split)
        scan(&sending);
    app_open(app, options->state);
    app_start(app, 0, 101, 1);
    app_go_online(app);
    p2pgate_decide_route(sending.attribute, (uint64_t)sending.status.st_size, relay_below, (uint32_t)app->relay, &sending.way[P2PGATE_CLASS_SEALED],
                         &sending.way[P2PGATE_CLASS_REST]);
    app->command = &sending;
    app->event = on_event;
    result = p2pgate_terminal_call(app->node.terminal, options->to, strlen(options->to), net_now(), &sending.session);
    if (result != P2PGATE_OK)
        die(EXIT_USAGE, "%s: %s", options->to, p2pgate_strerror(result));
    node_work(&app->node);
    while (!sending.is_begun && !sending.is_delivered)
        app_turn(app, 200);
    begin(app, &sending);
    while (!sending.is_delivered) {
        const int is_more = sending.to_end[0] || sending.to_end[1];
        if (is_more)
            pump(app, &sending);
        app_turn(app, is_more && node_can_send(&app->node) ? 0 : 200);
    }
    p2pgate_terminal_close(app->node.terminal, sending.session);
    app_end(app);
    outgoing_end(&sending.outgoing);
    printf("sent %llu bytes to %s in %.1f s: %llu direct in clear, %llu direct and sealed, %llu sealed through the broker\n",
           (unsigned long long)sending.status.st_size, sending.to, (double)(net_now() - started) / 1000,
           (unsigned long long)sending.sent[P2PGATE_WAY_DIRECT_CLEAR], (unsigned long long)sending.sent[P2PGATE_WAY_DIRECT_SEALED],
           (unsigned long long)sending.sent[P2PGATE_WAY_RELAY_SEALED]);
}
