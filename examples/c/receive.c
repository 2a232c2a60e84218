/* receive: takes callers, and what they send, until it is ended. */
#include "commands.h"
#include "incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long --once waits for the sender to say goodbye. */
#define GOODBYE_MS 3000
#define PATIENCE_MS 15000

struct receiving {
    const char *out;
    int folder;
    int announced; /* the broker knows where this recorder listens */
    int done;      /* a recording is stored: its session is the one below */
    uint32_t session;
    int closed; /* that session is over */
    struct incoming incoming[RECORDER_SESSIONS];
};

/* --- the machine's load (P6) ------------------------------------------------------------------------------------------------------------------------- */

/* Busy per cent of all processors since the last call, by /proc/stat; 0 where there is no such file. */
static unsigned load(void)
{
    static unsigned long long busy_before, total_before;
    unsigned long long time[8], total = 0, busy, elapsed;
    unsigned percent;
    FILE *file = fopen("/proc/stat", "r");

    if (file == NULL)
        return 0;
    /* user nice system idle iowait irq softirq steal */
    const int count = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &time[0], &time[1], &time[2], &time[3], &time[4], &time[5], &time[6],
                             &time[7]);
    fclose(file);
    if (count != 8)
        return 0;
    for (int at = 0; at < 8; at++)
        total += time[at];
    busy = total - time[3] - time[4];
    elapsed = total - total_before;
    percent = total_before == 0 || elapsed == 0 ? 0 : (unsigned)((busy - busy_before) * 100 / elapsed);
    busy_before = busy;
    total_before = total;
    return percent > 100 ? 100 : percent;
}

/* --- transfers --------------------------------------------------------------------------------------------------------------------------------------- */

static struct incoming *find(struct receiving *receiving, uint32_t session)
{
    for (int at = 0; at < RECORDER_SESSIONS; at++)
        if (receiving->incoming[at].is_open && receiving->incoming[at].session == session)
            return &receiving->incoming[at];
    return NULL;
}

static void answer(struct app *app, struct receiving *receiving, uint32_t session)
{
    struct incoming *incoming = NULL;
    p2pgate_offered_t offered;
    p2pgate_peer_t peer;
    p2pgate_result_t result;
    char temporary[INCOMING_NAME + 1];

    if (p2pgate_terminal_offered(app->node.terminal, session, &offered) != P2PGATE_OK ||
        p2pgate_terminal_peer(app->node.terminal, session, &peer) != P2PGATE_OK)
        return;
    /* A new session of the same recording takes the place of one that hangs. */
    incoming_temporary(&peer, &offered, temporary);
    for (int at = 0; at < RECORDER_SESSIONS; at++) {
        struct incoming *other = &receiving->incoming[at];
        if (other->is_open && strcmp(other->temporary, temporary) == 0)
            incoming_close(other, 0);
        if (!other->is_open)
            incoming = other;
    }
    result = incoming == NULL ? P2PGATE_E_NO_SESSION : incoming_open(incoming, receiving->folder, session, &peer, &offered);
    if (result == P2PGATE_OK && p2pgate_terminal_accept(app->node.terminal, session, incoming->written, net_now()) == P2PGATE_OK)
        return;
    if (result == P2PGATE_OK) { /* the session is over meanwhile */
        incoming_close(incoming, 0);
        return;
    }
    if (result == P2PGATE_E_ARGUMENT)
        say("cannot write to %s: %s", receiving->out, strerror(errno));
    p2pgate_terminal_refuse(app->node.terminal, session, result == P2PGATE_E_STORAGE ? P2PGATE_CAUSE_NO_ROOM : P2PGATE_CAUSE_NOT_STORED, net_now());
}

/* Every byte came. Syncing may take a while, and nothing else goes on meanwhile: a device with several sessions gives this to another task, and says
   p2pgate_terminal_stored when that is done. */
static void store(struct app *app, struct receiving *receiving, const p2pgate_event_t *event)
{
    struct incoming *incoming = find(receiving, event->session);
    p2pgate_peer_t peer;
    uint32_t cause = P2PGATE_CAUSE_NOT_STORED;

    if (incoming == NULL)
        return;
    memset(&peer, 0, sizeof peer);
    p2pgate_terminal_peer(app->node.terminal, event->session, &peer);
    if (event->flag && !incoming_is(incoming, event->hash)) {
        say("a recording from %s could not be stored: its SHA-256 is not the sender's", (const char *)peer.identifier);
        incoming_close(incoming, 1);
        cause = P2PGATE_CAUSE_WRONG_HASH;
    } else if (incoming_finish(incoming) != 0) {
        say("a recording from %s could not be stored: %s", (const char *)peer.identifier, strerror(errno));
        incoming_close(incoming, 0);
    } else {
        printf("received %s/%s bytes %llu from %s\n", receiving->out, incoming->name, (unsigned long long)incoming->size, (const char *)peer.identifier);
        fflush(stdout);
        incoming_close(incoming, 0);
        receiving->done = 1;
        receiving->session = event->session;
        p2pgate_terminal_stored(app->node.terminal, event->session, net_now());
        return;
    }
    p2pgate_terminal_not_stored(app->node.terminal, event->session, cause, net_now());
}

static const char *refusal(uint32_t cause)
{
    switch (cause) {
    case P2PGATE_REFUSED_PREAMBLE:
        return "it didn't open as a recorder does, or not in time";
    case P2PGATE_REFUSED_UNKNOWN_GRANT:
        return "the broker has announced no such caller, or its time is over";
    case P2PGATE_REFUSED_UNKNOWN_TOKEN:
        return "it belongs to no transfer";
    case P2PGATE_REFUSED_HANDSHAKE:
        return "its caller hasn't the key that the broker announced";
    case P2PGATE_REFUSED_CREDENTIALS:
        return "its caller's identifier or password is not what the broker announced";
    default:
        return "its caller is no longer on the list";
    }
}

/* A line a second at most: whoever knocks must not fill the log. */
static void log_refusal(uint32_t cause)
{
    static uint64_t next;

    if (net_now() >= next) {
        say("a connection was refused: %s", refusal(cause));
        next = net_now() + 1000;
    }
}

static void on_event(struct app *app, const p2pgate_event_t *event)
{
    struct receiving *receiving = app->command;
    struct incoming *incoming;

    switch (event->kind) {
    case P2PGATE_EVENT_ADDRESS_KNOWN:
        receiving->announced = 1;
        break;
    case P2PGATE_EVENT_OFFLINE:
        if (event->cause == P2PGATE_OFFLINE_NOT_ENROLLED || event->cause == P2PGATE_OFFLINE_DISPLACED)
            die_offline(app, event->cause);
        say("the broker is out of reach; trying again");
        break;
    case P2PGATE_EVENT_UNEXPECTED:
        if (event->flag)
            say("a caller on the list has another key than before: refused; confirm with allow --add ID=FINGERPRINT");
        break;
    case P2PGATE_EVENT_REFUSED:
        log_refusal(event->cause);
        break;
    case P2PGATE_EVENT_OFFERED:
        answer(app, receiving, event->session);
        break;
    case P2PGATE_EVENT_ARRIVED:
        store(app, receiving, event);
        break;
    case P2PGATE_EVENT_CLOSED:
        receiving->closed |= receiving->done && receiving->session == event->session;
        /* fall through */
    case P2PGATE_EVENT_TRANSFER_FAILED:
        /* What came stays for the next try. */
        incoming = find(receiving, event->session);
        if (incoming != NULL)
            incoming_close(incoming, 0);
        break;
    default:
        break;
    }
}

static int on_payload(struct app *app, uint32_t session, uint64_t offset, const uint8_t *bytes, size_t length)
{
    struct incoming *incoming = find(app->command, session);

    return incoming == NULL ? -1 : incoming_write(incoming, offset, bytes, length);
}

/* --- the command ------------------------------------------------------------------------------------------------------------------------------------- */

static int is_address(const char *option, const char *text, p2pgate_address_t *address)
{
    if (text != NULL && net_resolve(text, 0, address) != 0)
        die(EXIT_USAGE, "%s %s: write HOST:PORT", option, text);
    return text != NULL;
}

int open_folder(const char *path)
{
    int folder;

    if ((mkdir(path, 0777) != 0 && errno != EEXIST) || (folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        die(EXIT_LOCAL, "cannot make the folder %s: %s", path, strerror(errno));
    return folder;
}

/* Where the user says; else at a free port, for IPv6 and IPv4 if the machine has both. */
static int listen_at(const char *place, p2pgate_address_t *bound)
{
    p2pgate_address_t at;

    if (is_address("--listen", place, &at))
        return net_listen(&at, bound) == 0;
    memset(&at, 0, sizeof at);
    for (at.family = 6; at.family >= 4; at.family -= 2)
        if (net_listen(&at, bound) == 0)
            return 1;
    return 0;
}

void receive(struct app *app, const struct options *options)
{
    static struct receiving receiving;
    const unsigned load_limit = options->load_limit == NULL ? 101 : (unsigned)parse_number("--load-limit", options->load_limit, 100);
    const unsigned sessions = options->sessions == NULL ? RECORDER_SESSIONS : (unsigned)parse_number("--sessions", options->sessions, RECORDER_SESSIONS);
    p2pgate_address_t bound, announced;
    char text[NET_TEXT];
    uint64_t looked = 0, deadline;
    int ready = 0;

    receiving.out = options->out;
    receiving.folder = open_folder(options->out);
    app_open(app, options->state);
    if (state_lock(options->state, "receiving", 0) < 0)
        die(EXIT_LOCAL, "cannot lock %s/receiving (%s): end another receive that runs on it", options->state, strerror(errno));
    if (!listen_at(options->listen, &bound))
        die(EXIT_LOCAL, "cannot listen at %s: choose another --listen", options->listen == NULL ? "any port" : options->listen);
    if (!is_address("--announce", options->announce, &announced))
        announced = bound;
    else if (announced.port == 0)
        announced.port = bound.port;
    app->command = &receiving;
    app->event = on_event;
    app->payload = on_payload;
    app_start(app, 1, load_limit, sessions);
    p2pgate_terminal_listen_at(app->node.terminal, &announced, 1);
    app_go_online(app);
    deadline = net_now() + PATIENCE_MS;
    while (!(options->once && receiving.done)) {
        if (options->load_limit != NULL && net_now() >= looked + 1000) {
            p2pgate_terminal_set_load(app->node.terminal, load());
            looked = net_now();
        }
        app_turn(app, 200);
        if (!ready && receiving.announced) {
            ready = 1;
            net_format(&bound, text);
            printf("ready %s %s\n", text, app->identity.identifier);
            fflush(stdout);
        }
        if (!ready && net_now() >= deadline)
            die_offline(app, P2PGATE_OFFLINE_BROKER);
    }
    /* The sender is to hear that its recording is stored. */
    for (deadline = net_now() + GOODBYE_MS; !receiving.closed && net_now() < deadline;)
        app_turn(app, 50);
    app_end(app);
}
