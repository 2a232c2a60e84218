/* list and fetch: what another recorder shares. */
#include "commands.h"
#include "incoming.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct fetching {
    const char *from, *name, *out; /* name NULL: the list of recordings */
    int folder;
    uint32_t session;
    int is_begun, is_done;
    unsigned char last; /* byte of the list that was printed */
    struct incoming incoming;
};

static void ask(struct app *app, struct fetching *fetching)
{
    const size_t length = fetching->name == NULL ? 0 : strlen(fetching->name);
    const p2pgate_result_t result = p2pgate_terminal_fetch(app->node.terminal, fetching->session, fetching->name, length, net_now());

    /* P2PGATE_E_NOT_OPEN: the session is over already, and its event says why. */
    if (result != P2PGATE_OK && result != P2PGATE_E_NOT_OPEN)
        die(EXIT_USAGE, "%s: %s", fetching->name, p2pgate_strerror(result));
}

static void answer(struct app *app, struct fetching *fetching)
{
    p2pgate_offered_t offered;
    p2pgate_peer_t peer;
    p2pgate_result_t result = P2PGATE_OK;

    if (p2pgate_terminal_offered(app->node.terminal, fetching->session, &offered) != P2PGATE_OK ||
        p2pgate_terminal_peer(app->node.terminal, fetching->session, &peer) != P2PGATE_OK)
        return;
    if (!offered.fetched) { /* it is for whoever receives, and that isn't this process */
        p2pgate_terminal_refuse(app->node.terminal, fetching->session, P2PGATE_CAUSE_DECLINED, net_now());
        return;
    }
    if (fetching->name != NULL)
        result = incoming_open(&fetching->incoming, fetching->folder, fetching->session, &peer, &offered);
    if (result == P2PGATE_OK) {
        fetching->is_begun = 1;
        p2pgate_terminal_accept(app->node.terminal, fetching->session, fetching->name == NULL ? 0 : fetching->incoming.written, net_now());
        return;
    }
    const int error = errno;
    app->event = NULL;
    p2pgate_terminal_refuse(app->node.terminal, fetching->session, result == P2PGATE_E_STORAGE ? P2PGATE_CAUSE_NO_ROOM : P2PGATE_CAUSE_NOT_STORED,
                            net_now());
    app_end(app);
    die(EXIT_LOCAL, "%s: %s", fetching->out,
        result == P2PGATE_E_STORAGE ? "there is no room for it" : result == P2PGATE_E_BUSY ? "another fetch is taking it" : strerror(error));
}

static void store(struct app *app, struct fetching *fetching, const p2pgate_event_t *event)
{
    struct incoming *incoming = &fetching->incoming;
    enum exit_code code = 0;

    if (fetching->name != NULL && event->flag && !incoming_is(incoming, event->hash)) {
        incoming_close(incoming, 1);
        code = EXIT_DAMAGED;
    } else if (fetching->name != NULL && incoming_finish(incoming) != 0)
        code = EXIT_LOCAL;
    const int error = errno;
    app->event = NULL;
    if (code == 0)
        p2pgate_terminal_stored(app->node.terminal, fetching->session, net_now());
    else
        p2pgate_terminal_not_stored(app->node.terminal, fetching->session, code == EXIT_DAMAGED ? P2PGATE_CAUSE_WRONG_HASH : P2PGATE_CAUSE_NOT_STORED,
                                    net_now());
    app_end(app);
    if (code != 0)
        die(code, "%s: %s", fetching->name, code == EXIT_DAMAGED ? "what came has not the SHA-256 that was given: fetch again" : strerror(error));
    fetching->is_done = 1;
}

static void die_failed(const char *from, uint32_t cause)
{
    switch (cause) {
    case P2PGATE_FAILED_FETCH_REFUSED:
        die(EXIT_REFUSED, "%s shares nothing, or can't send it now: have its owner run receive --share, or try again later", from);
    case P2PGATE_FAILED_NO_SUCH_RECORDING:
        die(EXIT_REFUSED, "%s shares no recording of that name: see list", from);
    case P2PGATE_FAILED_DAMAGED:
        die(EXIT_DAMAGED, "what came from %s is not what was sent: fetch again", from);
    case P2PGATE_FAILED_ABANDONED:
        die(EXIT_LOCAL, "it could not be written here: look at the disk, then fetch again");
    case P2PGATE_FAILED_OTHER_END:
        die(EXIT_REFUSED, "%s could not send it: ask its owner, then fetch again", from);
    default:
        die(EXIT_NOT_REACHABLE, "the connection for the data from %s failed: fetch again, it goes on where it stopped", from);
    }
}

static void on_event(struct app *app, const p2pgate_event_t *event)
{
    struct fetching *fetching = app->command;

    /* Until the session has its own connection it hangs on the broker's. */
    if (event->kind == P2PGATE_EVENT_OFFLINE && !fetching->is_begun)
        die_offline(app, event->cause);
    /* The other events are the session's, of which there is one. */
    switch (event->kind) {
    case P2PGATE_EVENT_DENIED:
        die_denied(fetching->from, event);
    case P2PGATE_EVENT_DEPOSIT_OFFERED:
        p2pgate_terminal_decline_deposit(app->node.terminal, fetching->session, net_now());
        break;
    case P2PGATE_EVENT_CONNECTED:
        ask(app, fetching);
        break;
    case P2PGATE_EVENT_OFFERED:
        answer(app, fetching);
        break;
    case P2PGATE_EVENT_ARRIVED:
        store(app, fetching, event);
        break;
    case P2PGATE_EVENT_TRANSFER_FAILED:
        die_failed(fetching->from, event->cause);
        break;
    case P2PGATE_EVENT_CLOSED:
        die(event->cause == P2PGATE_CLOSED_WITHDRAWN ? EXIT_NOT_PERMITTED : EXIT_NOT_REACHABLE, "%s ended the connection: fetch again, it goes on where it stopped",
            fetching->from);
    default:
        break;
    }
}

static int on_payload(struct app *app, uint32_t session, uint64_t offset, const uint8_t *bytes, size_t length)
{
    struct fetching *fetching = app->command;

    (void)session;
    if (fetching->name != NULL)
        return incoming_write(&fetching->incoming, offset, bytes, length);
    /* JSON has no control characters but between its lines; from whoever sends others the terminal gets none, be they of one byte or of two. */
    for (size_t at = 0; at < length; at++) {
        const int is_second = fetching->last == 0xc2 && bytes[at] >= 0x80 && bytes[at] < 0xa0;
        fetching->last = bytes[at];
        putchar((bytes[at] < 0x20 && bytes[at] != '\n') || bytes[at] == 0x7f || is_second ? '?' : bytes[at]);
    }
    return 0;
}

void fetch(struct app *app, const struct options *options)
{
    static struct fetching fetching;
    p2pgate_result_t result;

    fetching.from = options->from;
    fetching.name = options->file;
    fetching.out = options->out;
    if (fetching.name != NULL)
        fetching.folder = open_folder(fetching.out);
    app_open(app, options->state);
    app_start(app, 0, 101, 1);
    app_go_online(app);
    app->command = &fetching;
    app->event = on_event;
    app->payload = on_payload;
    result = p2pgate_terminal_call(app->node.terminal, fetching.from, strlen(fetching.from), net_now(), &fetching.session);
    if (result != P2PGATE_OK)
        die(EXIT_USAGE, "%s: %s", fetching.from, p2pgate_strerror(result));
    node_work(&app->node);
    while (!fetching.is_done)
        app_turn(app, 200);
    if (fetching.name != NULL)
        printf("fetched %s/%s bytes %llu from %s\n", fetching.out, fetching.incoming.name, (unsigned long long)fetching.incoming.size, fetching.from);
}
