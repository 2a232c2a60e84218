#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] = "usage:\n"
    "  recorder init    --state DIR --id ID --broker ADDR --broker-key KEY --ticket TICKET|- [--tls] [--tls-ca FILE]\n"
    "  recorder show    --state DIR\n"
    "  recorder allow   --state DIR [--create ID,... | --add ID,... --delete ID,...] [--fingerprints]\n"
    "  recorder receive --state DIR --out DIR [--listen ADDR] [--announce ADDR] [--load-limit PERCENT] [--sessions N] [--once]\n"
    "  recorder send    --state DIR --to ID FILE [--as confidential|public|split|auto] [--relay-below BYTES] [--seal-rest] [--hash]\n"
    "  recorder list    --state DIR --from ID\n"
    "  recorder fetch   --state DIR --from ID --out DIR NAME\n"
    "ID in a list may be ID=FINGERPRINT. ADDR is HOST:PORT. --ticket -: the ticket is read from standard input, so that it is in no list of processes.\n";

/* --- the command line -------------------------------------------------------------------------------------------------------------------------------- */

unsigned long long parse_number(const char *option, const char *text, unsigned long long most)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || number > most)
        die(EXIT_USAGE, "%s %s: write a number up to %llu", option, text, most);
    return number;
}

static void parse_key(const char *option, const char *text, uint8_t key[P2PGATE_KEY_LENGTH])
{
    size_t length = strlen(text);

    if (length > 0 && text[length - 1] == '=')
        length--;
    if (p2pgate_parse_fingerprint(text, length, key) != P2PGATE_OK)
        die(EXIT_USAGE, "%s %s: %s", option, text, p2pgate_strerror(P2PGATE_E_KEY));
}

static void parse_options(struct options *options, const char *command, int count, char **words)
{
    const struct {
        const char *command, *name;
        const char **value;
        int *flag;
    } known[] = {
        {NULL, "--state", &options->state, NULL},
        {"init", "--id", &options->id, NULL},
        {"init", "--broker", &options->broker, NULL},
        {"init", "--broker-key", &options->broker_key, NULL},
        {"init", "--ticket", &options->ticket, NULL},
        {"init", "--tls", NULL, &options->tls},
        {"init", "--tls-ca", &options->tls_ca, NULL},
        {"allow", "--create", &options->create, NULL},
        {"allow", "--add", &options->add, NULL},
        {"allow", "--delete", &options->delete_, NULL},
        {"allow", "--fingerprints", NULL, &options->fingerprints},
        {"receive", "--out", &options->out, NULL},
        {"receive", "--listen", &options->listen, NULL},
        {"receive", "--announce", &options->announce, NULL},
        {"receive", "--load-limit", &options->load_limit, NULL},
        {"receive", "--sessions", &options->sessions, NULL},
        {"receive", "--once", NULL, &options->once},
        {"send", "--to", &options->to, NULL},
        {"send", "--as", &options->as, NULL},
        {"send", "--relay-below", &options->relay_below, NULL},
        {"send", "--seal-rest", NULL, &options->seal_rest},
        {"send", "--hash", NULL, &options->hash},
        {"list", "--from", &options->from, NULL},
        {"fetch", "--from", &options->from, NULL},
        {"fetch", "--out", &options->out, NULL},
    };

    for (int at = 0; at < count; at++) {
        size_t which = 0;
        while (which < sizeof known / sizeof known[0] &&
               (strcmp(known[which].name, words[at]) != 0 || (known[which].command != NULL && strcmp(known[which].command, command) != 0)))
            which++;
        if (which < sizeof known / sizeof known[0] && known[which].flag != NULL)
            *known[which].flag = 1;
        else if (which < sizeof known / sizeof known[0] && at + 1 < count)
            *known[which].value = words[++at];
        else if ((strcmp(command, "send") == 0 || strcmp(command, "fetch") == 0) && words[at][0] != '-' && options->file == NULL)
            options->file = words[at];
        else
            die(EXIT_USAGE, "%s is not understood, or has no value; see --help", words[at]);
    }
}

static void require(const char *name, const char *value)
{
    if (value == NULL)
        die(EXIT_USAGE, "%s is missing; see --help", name);
}

/* No ticket's line is as long. */
enum { TICKET_LINE = 256 };

/* --- init and show ----------------------------------------------------------------------------------------------------------------------------------- */

static void print_key(const char *before, const uint8_t key[P2PGATE_KEY_LENGTH], const char *behind)
{
    char text[P2PGATE_FINGERPRINT_LENGTH];

    p2pgate_fingerprint(key, text);
    printf("%s%.*s%s", before, (int)sizeof text, text, behind);
}

/* An enrolment that was cut off goes on with its key: the broker lets a key in that it has bound without looking at the ticket. */
static int resume_enrolment(struct app *app, const struct identity *wanted)
{
    char text[IDENTITY_TEXT];
    size_t length;

    if (state_read(app->folder, "identity.enrolling", text, sizeof text, &length) != 0)
        return 0;
    if (identity_read(&app->identity, text, length) != 0 || strcmp(app->identity.identifier, wanted->identifier) != 0 ||
        memcmp(app->identity.broker_key, wanted->broker_key, sizeof wanted->broker_key) != 0)
        die(EXIT_LOCAL, "%s holds an unfinished enrolment of another recorder: finish that with init, or choose another folder", app->folder);
    p2pgate_wipe((uint8_t *)text, sizeof text);
    strcpy(app->identity.broker, wanted->broker);
    app->identity.tls = wanted->tls;
    return 1;
}

/* Whose certificates the broker may show goes with the state: the file named may be gone tomorrow. */
static void copy_authorities(const struct app *app, const char *path)
{
    static uint8_t text[64 << 10];
    FILE *file = fopen(path, "rb");
    const size_t length = file == NULL ? 0 : fread(text, 1, sizeof text, file);

    if (file == NULL || ferror(file) || !feof(file))
        die(EXIT_LOCAL, "cannot read %s, or it has more than 64 KiB", path);
    fclose(file);
    if (state_replace(app->folder, "broker-ca.pem", text, length) != 0)
        die(EXIT_LOCAL, "cannot write %s/broker-ca.pem: %s", app->folder, strerror(errno));
}

/* The ticket as given, or from standard input: what is an argument everybody on the machine can read. */
static void read_ticket(const char *given, char ticket[TICKET_LINE])
{
    size_t length = strlen(given);

    if (strcmp(given, "-") == 0) {
        if (isatty(STDIN_FILENO))
            fputs("the ticket, as p2pgate-broker enrol has printed it:\n", stderr);
        if (fgets(ticket, TICKET_LINE, stdin) == NULL)
            die(EXIT_USAGE, "--ticket -: there is no ticket on standard input");
        length = strcspn(ticket, "\r\n");
    } else if (length < TICKET_LINE) {
        memcpy(ticket, given, length);
    } else {
        die(EXIT_USAGE, "--ticket: %s", p2pgate_strerror(P2PGATE_E_TICKET));
    }
    ticket[length] = '\0';
}

static void init(struct app *app, const struct options *options)
{
    char text[IDENTITY_TEXT], ticket[TICKET_LINE];
    struct identity wanted;
    struct state_version version;
    uint8_t public_key[P2PGATE_KEY_LENGTH];
    size_t length;
    p2pgate_result_t result;

    memset(&wanted, 0, sizeof wanted);
    if (strlen(options->id) >= sizeof wanted.identifier || strlen(options->broker) >= sizeof wanted.broker || strchr(options->broker, '\n') != NULL)
        die(EXIT_USAGE, "--id or --broker is too long");
    strcpy(wanted.identifier, options->id);
    strcpy(wanted.broker, options->broker);
    wanted.tls = options->tls;
    if (options->tls_ca != NULL && !options->tls)
        die(EXIT_USAGE, "--tls-ca takes --tls as well");
    parse_key("--broker-key", options->broker_key, wanted.broker_key);
    read_ticket(options->ticket, ticket);
    app->folder = options->state;
    if (state_make(app->folder) != 0)
        die(EXIT_LOCAL, "cannot make %s: %s", app->folder, strerror(errno));
    state_look(app->folder, "identity", &version);
    if (version.file != 0)
        die(EXIT_LOCAL, "%s holds a recorder already: choose another folder", app->folder);
    if (!resume_enrolment(app, &wanted)) {
        if (state_random(wanted.secret_key) != 0)
            die(EXIT_LOCAL, "the operating system gives no random bytes (%s): check /dev/urandom", strerror(errno));
        app->identity = wanted;
        p2pgate_wipe(wanted.secret_key, sizeof wanted.secret_key);
    }
    /* The key must be on the disk before the broker binds the identifier to it. */
    length = identity_write(&app->identity, text);
    if (length == 0 || state_replace(app->folder, "identity.enrolling", text, length) != 0)
        die(EXIT_LOCAL, "cannot write %s/identity.enrolling: %s", app->folder, strerror(errno));
    p2pgate_wipe((uint8_t *)text, sizeof text);
    if (options->tls_ca != NULL)
        copy_authorities(app, options->tls_ca);
    app_start(app, 0, 101, 1);
    result = p2pgate_terminal_enrol(app->node.terminal, ticket, strlen(ticket));
    p2pgate_wipe((uint8_t *)ticket, sizeof ticket);
    if (result != P2PGATE_OK)
        die(EXIT_USAGE, "--ticket: %s", p2pgate_strerror(result));
    app_go_online(app);
    if (state_rename(app->folder, "identity.enrolling", "identity") != 0)
        die(EXIT_LOCAL, "cannot write %s/identity: %s", app->folder, strerror(errno));
    p2pgate_public_key(app->identity.secret_key, public_key);
    app_end(app);
    printf("enrolled %s fingerprint ", app->identity.identifier);
    print_key("", public_key, "\n");
}

static void show(struct app *app, const struct options *options)
{
    uint8_t public_key[P2PGATE_KEY_LENGTH];

    app_open(app, options->state);
    p2pgate_public_key(app->identity.secret_key, public_key);
    printf("identifier %s\n", app->identity.identifier);
    print_key("fingerprint ", public_key, "\n");
    printf("broker %s", app->identity.broker);
    print_key(" key ", app->identity.broker_key, app->identity.tls ? " TLS\n" : "\n");
}

/* --- allow ------------------------------------------------------------------------------------------------------------------------------------------- */

struct entries {
    size_t count;
    p2pgate_entry_t entry[RECORDER_PEERS];
    uint8_t key[RECORDER_PEERS][P2PGATE_KEY_LENGTH];
};

/* Entries parted by commas: ID or ID=FINGERPRINT. An identifier may itself hold '=': only what is a whole key behind the last one counts as one. */
static void parse_entries(struct entries *entries, const char *text)
{
    entries->count = 0;
    while (text != NULL && *text != '\0') {
        const size_t length = strcspn(text, ",");
        const size_t padded = length > 0 && text[length - 1] == '=';
        const size_t key_length = P2PGATE_FINGERPRINT_LENGTH;
        p2pgate_entry_t *entry = &entries->entry[entries->count];
        uint8_t *key = entries->key[entries->count];
        if (entries->count++ == RECORDER_PEERS)
            die(EXIT_REFUSED, "the list stays as it was: %s", p2pgate_strerror(P2PGATE_E_LIST_FULL));
        entry->identifier = text;
        entry->identifier_length = length;
        entry->key = NULL;
        if (length > key_length + 1 + padded && text[length - padded - key_length - 1] == '=' &&
            p2pgate_parse_fingerprint(text + length - padded - key_length, key_length, key) == P2PGATE_OK) {
            entry->identifier_length = length - padded - key_length - 1;
            entry->key = key;
        }
        text += length;
        if (*text == ',' && *++text == '\0')
            die(EXIT_USAGE, "%s", p2pgate_strerror(P2PGATE_E_IDENTIFIER));
    }
}

static void print_list(const struct app *app, int fingerprints)
{
    p2pgate_peer_t peer;

    for (size_t at = 0; p2pgate_terminal_permitted(app->node.terminal, at, &peer) == P2PGATE_OK; at++) {
        printf("%s", (const char *)peer.identifier);
        if (fingerprints && peer.has_key)
            print_key("=", peer.key, "");
        printf("\n");
    }
}

/* The broker's answer to the list: 1 registered, else its status code. */
static void on_registration(struct app *app, const p2pgate_event_t *event)
{
    uint32_t *answer = app->command;

    if (event->kind == P2PGATE_EVENT_REGISTERED)
        *answer = 1;
    else if (event->kind == P2PGATE_EVENT_REGISTER_FAILED)
        *answer = event->cause;
}

static void allow(struct app *app, const struct options *options)
{
    static struct entries add, remove;
    const uint64_t deadline = net_now() + 15000;
    uint32_t answer = 0;
    p2pgate_status_t status;

    if (options->create != NULL && (options->add != NULL || options->delete_ != NULL))
        die(EXIT_USAGE, "--create replaces the list: leave --add and --delete out");
    parse_entries(&add, options->create != NULL ? options->create : options->add);
    parse_entries(&remove, options->delete_);
    app_open(app, options->state);
    app_start(app, 0, 101, 1);
    if (options->create == NULL && options->add == NULL && options->delete_ == NULL) {
        print_list(app, options->fingerprints);
        app_end(app);
        return;
    }
    app->command = &answer;
    app->event = on_registration;
    app_permit(app, options->create != NULL, add.entry, add.count, remove.entry, remove.count);
    app->note = "; the list is changed here, and the broker is told at the next connection";
    app_go_online(app);
    /* A receive of the same recorder may have been quicker. */
    while (answer == 0 && p2pgate_terminal_status(app->node.terminal, &status) == P2PGATE_OK && !status.registered) {
        if (app->offline != 0)
            die_offline(app, app->offline);
        if (net_now() >= deadline)
            die(EXIT_BROKER, "the broker at %s does not answer%s", app->identity.broker, app->note);
        app_turn(app, 200);
    }
    if (answer > 1)
        die(answer == 503 ? EXIT_BROKER : EXIT_REFUSED, "the broker refuses the list (status %u): %s", (unsigned)answer,
            answer == 413 ? "delete entries" : answer == 429 || answer == 503 ? "try again later" : "ask its operator");
    app_end(app);
}

/* --- all ------------------------------------------------------------------------------------------------------------------------------------------ */

int run(int argc, char **argv)
{
    static struct app app;
    struct options options;
    const char *command = argc > 1 ? argv[1] : "";

    if (p2pgate_abi_version() != P2PGATE_ABI_VERSION)
        die(EXIT_LOCAL, "libp2pgate has another binary interface than this program was compiled for: install the same version of both");
    if (strcmp(command, "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    memset(&options, 0, sizeof options);
    parse_options(&options, command, argc > 2 ? argc - 2 : 0, argv + 2);
    if (strcmp(command, "init") == 0) {
        require("--state", options.state);
        require("--id", options.id);
        require("--broker", options.broker);
        require("--broker-key", options.broker_key);
        require("--ticket", options.ticket);
        init(&app, &options);
    } else if (strcmp(command, "show") == 0) {
        require("--state", options.state);
        show(&app, &options);
    } else if (strcmp(command, "allow") == 0) {
        require("--state", options.state);
        allow(&app, &options);
    } else if (strcmp(command, "receive") == 0) {
        require("--state", options.state);
        require("--out", options.out);
        receive(&app, &options);
    } else if (strcmp(command, "send") == 0) {
        require("--state", options.state);
        require("--to", options.to);
        require("FILE", options.file);
        send_recording(&app, &options);
    } else if (strcmp(command, "list") == 0 || strcmp(command, "fetch") == 0) {
        require("--state", options.state);
        require("--from", options.from);
        if (*command == 'f') {
            require("--out", options.out);
            require("NAME", options.file);
        }
        fetch(&app, &options);
    } else {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return fflush(stdout) == 0 ? 0 : EXIT_LOCAL;
}
