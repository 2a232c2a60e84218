#include "app.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the broker may take to answer at the start. */
#define PATIENCE_MS 15000

static void print(const char *format, va_list arguments)
{
    char text[1024];

    vsnprintf(text, sizeof text, format, arguments);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    fprintf(stderr, "recorder: %s\n", text);
}

void say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print(format, arguments);
    va_end(arguments);
}

void die(enum exit_code code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print(format, arguments);
    va_end(arguments);
    exit((int)code);
}

void die_offline(const struct app *app, uint32_t cause)
{
    const char *broker = app->identity.broker, *note = app->note == NULL ? "" : app->note;

    switch (cause) {
    case P2PGATE_OFFLINE_NOT_THE_BROKER:
        die(EXIT_BROKER, "what answers at %s is not the broker with the pinned key: check the address; if the broker has a new key, enrol anew%s", broker, note);
    case P2PGATE_OFFLINE_NOT_ENROLLED:
        die(EXIT_NOT_PERMITTED,
            "the broker at %s does not know this recorder's key, or the ticket is used up: ask its operator for a ticket and enrol with init%s", broker, note);
    case P2PGATE_OFFLINE_BROKER:
        die(EXIT_BROKER, "the broker at %s cannot serve now: try again later or ask its operator%s", broker, note);
    case P2PGATE_OFFLINE_DISPLACED:
        die(EXIT_LOCAL, "another receive with this recorder's key took over: end it, or copy no state folders%s", note);
    default:
        die(EXIT_BROKER, "the broker at %s is out of reach: check its address, the network, and that it runs%s", broker, note);
    }
}

/* --- the stored list --------------------------------------------------------------------------------------------------------------------------------- */

static int lock(const struct app *app)
{
    const int file = state_lock(app->folder, "lock", 1);

    if (file < 0)
        die(EXIT_LOCAL, "cannot lock %s/lock: %s", app->folder, strerror(errno));
    return file;
}

static void store_list(struct app *app)
{
    uint8_t blob[P2PGATE_BLOB_LENGTH(RECORDER_PEERS)];
    size_t length;
    const p2pgate_result_t result = p2pgate_terminal_blob(app->node.terminal, blob, sizeof blob, &length);

    if (result != P2PGATE_OK)
        die(EXIT_LOCAL, "cannot store the list: %s", p2pgate_strerror(result));
    if (state_replace(app->folder, "peers", blob, length) != 0)
        die(EXIT_LOCAL, "cannot write %s/peers: %s", app->folder, strerror(errno));
    state_look(app->folder, "peers", &app->peers);
}

/* The stored list counts; sessions with callers that it does not allow, by their entry, their key or their group, end. */
static void load_list(struct app *app)
{
    uint8_t blob[P2PGATE_BLOB_LENGTH(RECORDER_PEERS)];
    size_t length;
    p2pgate_result_t result;
    uint32_t admitted;

    state_look(app->folder, "peers", &app->peers);
    if (state_read(app->folder, "peers", blob, sizeof blob, &length) != 0) {
        if (errno == ENOENT)
            return;
        die(EXIT_LOCAL, "cannot read %s/peers: %s", app->folder, strerror(errno));
    }
    result = p2pgate_terminal_restore(app->node.terminal, blob, length);
    if (result != P2PGATE_OK)
        die(EXIT_LOCAL, "%s/peers: %s", app->folder, p2pgate_strerror(result));
    for (size_t at = 0; at < app->caller_count; at++)
        if (p2pgate_terminal_is_admitted(app->node.terminal, app->callers[at], &admitted) == P2PGATE_OK && !admitted)
            p2pgate_terminal_close(app->node.terminal, app->callers[at]);
}

/* Another process (allow) may have stored another list. */
static int is_list_stale(const struct app *app)
{
    struct state_version version;

    state_look(app->folder, "peers", &version);
    return memcmp(&version, &app->peers, sizeof version) != 0;
}

/* Another process has stored a newer list: that counts, and what is pinned here alone is kept. */
static void take_over_list(struct app *app)
{
    uint8_t ours[P2PGATE_BLOB_LENGTH(RECORDER_PEERS)];
    size_t length;
    const int has = p2pgate_terminal_blob(app->node.terminal, ours, sizeof ours, &length) == P2PGATE_OK;

    load_list(app);
    /* A table that is full meanwhile has no room for a pin: no reason to end. */
    if (has)
        p2pgate_terminal_adopt_pins(app->node.terminal, ours, length);
}

/* P2PGATE_EVENT_PERSIST. */
static void persist(struct app *app)
{
    const int file = app->is_locked ? -1 : lock(app);

    if (is_list_stale(app))
        take_over_list(app);
    store_list(app);
    if (file >= 0)
        close(file);
    p2pgate_terminal_persisted(app->node.terminal);
}

void app_permit(struct app *app, int create, const p2pgate_entry_t *add, size_t add_count, const p2pgate_entry_t *remove, size_t remove_count)
{
    const int file = lock(app);
    p2pgate_result_t result;

    load_list(app);
    result = create ? p2pgate_terminal_permit_create(app->node.terminal, add, add_count)
                    : p2pgate_terminal_permit(app->node.terminal, add, add_count, remove, remove_count);
    if (result != P2PGATE_OK)
        die(EXIT_REFUSED, "the list stays as it was: %s", p2pgate_strerror(result));
    app->is_locked = 1;
    node_work(&app->node); /* P2PGATE_EVENT_PERSIST stores it */
    app->is_locked = 0;
    close(file);
}

/* --- the terminal ------------------------------------------------------------------------------------------------------------------------------------ */

static void forget_caller(struct app *app, uint32_t session)
{
    for (size_t at = 0; at < app->caller_count; at++)
        if (app->callers[at] == session)
            app->callers[at] = app->callers[--app->caller_count];
}

static void on_event(void *owner, const p2pgate_event_t *event)
{
    struct app *app = owner;

    switch (event->kind) {
    case P2PGATE_EVENT_PERSIST:
        persist(app);
        break;
    case P2PGATE_EVENT_ONLINE:
        app->online = 1;
        app->offline = 0;
        app->relay = event->flag != 0;
        break;
    case P2PGATE_EVENT_OFFLINE:
        app->online = 0;
        app->offline = event->cause;
        break;
    case P2PGATE_EVENT_EXPECTED:
        if (app->caller_count < RECORDER_SESSIONS)
            app->callers[app->caller_count++] = event->session;
        break;
    case P2PGATE_EVENT_CLOSED:
        forget_caller(app, event->session);
        break;
    default:
        break;
    }
    if (app->event != NULL)
        app->event(app, event);
}

static int on_payload(void *owner, uint32_t session, uint64_t offset, const uint8_t *bytes, size_t length)
{
    struct app *app = owner;

    return app->payload == NULL ? -1 : app->payload(app, session, offset, bytes, length);
}

void app_open(struct app *app, const char *folder)
{
    char text[IDENTITY_TEXT];
    size_t length;

    app->folder = folder;
    if (state_read(folder, "identity", text, sizeof text, &length) != 0) {
        if (errno == ENOENT)
            die(EXIT_LOCAL, "%s holds no recorder: make one with init", folder);
        die(EXIT_LOCAL, "cannot read %s/identity: %s", folder, strerror(errno));
    }
    if (identity_read(&app->identity, text, length) != 0)
        die(EXIT_LOCAL, "%s/identity is damaged: restore it or enrol this recorder anew", folder);
    p2pgate_wipe((uint8_t *)text, sizeof text);
}

static void read_seed(const struct app *app, uint8_t seed[32])
{
    size_t length;

    if (state_read(app->folder, "seed", seed, 32, &length) == 0 && length == 32)
        return;
    if (errno != ENOENT)
        die(EXIT_LOCAL, "%s/seed is damaged: restore it or delete it", app->folder);
    if (state_random(seed) != 0)
        die(EXIT_LOCAL, "the operating system gives no random bytes (%s): check /dev/urandom", strerror(errno));
}

void app_start(struct app *app, int listens, unsigned load_limit, unsigned load_sessions)
{
    uint8_t seed[32], entropy[32], new_seed[32];
    struct node_options options;
    p2pgate_result_t result;
    const int file = lock(app);

#ifndef RECORDER_TLS
    if (app->identity.tls)
        die(EXIT_USAGE, "%s is to be reached by TLS, which this program was built without: build it with make TLS=1", app->identity.broker);
#endif
    read_seed(app, seed);
    if (state_random(entropy) != 0)
        die(EXIT_LOCAL, "the operating system gives no random bytes (%s): check /dev/urandom", strerror(errno));
    memset(&options, 0, sizeof options);
    options.identifier = app->identity.identifier;
    options.secret_key = app->identity.secret_key;
    options.broker_key = app->identity.broker_key;
    options.seed = seed;
    options.entropy = entropy;
    options.listens = app->listens = listens;
    options.load_limit = load_limit;
    options.load_sessions = load_sessions;
    app->node.broker = app->identity.broker;
    app->node.tls = app->identity.tls;
    snprintf(app->authorities, sizeof app->authorities, "%s/broker-ca.pem", app->folder);
    app->node.authorities = access(app->authorities, F_OK) == 0 ? app->authorities : NULL;
    app->node.owner = app;
    app->node.event = on_event;
    app->node.payload = on_payload;
    result = node_init(&app->node, &options, new_seed);
    if (result != P2PGATE_OK)
        die(EXIT_USAGE, "%s: %s", app->identity.identifier, p2pgate_strerror(result));
    /* A seed that is used twice could make the same secrets twice: the next one is on the disk before anything is said. */
    if (state_replace(app->folder, "seed", new_seed, sizeof new_seed) != 0)
        die(EXIT_LOCAL, "cannot write %s/seed: %s", app->folder, strerror(errno));
    p2pgate_wipe(seed, sizeof seed);
    p2pgate_wipe(entropy, sizeof entropy);
    p2pgate_wipe(new_seed, sizeof new_seed);
    load_list(app);
    close(file);
}

void app_turn(struct app *app, uint64_t longest)
{
    node_wait(&app->node, longest);
    /* Before the broker's word of a caller is taken in: the list that allow has stored by then counts. Who takes no callers has no use for it. */
    if (app->listens && is_list_stale(app)) {
        const int file = lock(app);
        take_over_list(app);
        close(file);
    }
    node_work(&app->node);
}

void app_go_online(struct app *app)
{
    const uint64_t deadline = net_now() + PATIENCE_MS;

    p2pgate_terminal_connect(app->node.terminal, net_now());
    node_work(&app->node);
    while (!app->online) {
        if (app->offline != 0)
            die_offline(app, app->offline);
        if (net_now() >= deadline)
            die(EXIT_BROKER, "the broker at %s does not answer: try again later%s", app->identity.broker, app->note == NULL ? "" : app->note);
        app_turn(app, 200);
    }
}

void app_end(struct app *app)
{
    const uint64_t deadline = net_now() + 1000;

    node_work(&app->node);
    while (!node_is_drained(&app->node) && net_now() < deadline)
        app_turn(app, 20);
    node_deinit(&app->node);
    p2pgate_wipe(app->identity.secret_key, sizeof app->identity.secret_key);
}
