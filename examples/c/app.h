/* What the commands share: a terminal with its stored state, on the way to the broker and back. */
#ifndef APP_H
#define APP_H

#include "node.h"
#include "state.h"

/* How a command ends; scripts rely on the numbers. */
enum exit_code {
    EXIT_USAGE = 2,         /* the command line or the input makes no sense */
    EXIT_NOT_PERMITTED = 3, /* the callee doesn't permit this caller, or there is no such identifier */
    EXIT_NO_ADDRESS = 4,    /* the callee permits the caller but has never given an address */
    EXIT_NOT_REACHABLE = 5, /* the callee is offline, busy or out of reach */
    EXIT_REFUSED = 6,       /* refused by the broker or the other recorder */
    EXIT_BROKER = 7,        /* the broker is out of reach or isn't the pinned one */
    EXIT_DAMAGED = 8,       /* content is damaged */
    EXIT_LOCAL = 9          /* a local file can't be read or written */
};

#ifdef __GNUC__
#define PRINTS(text, values) __attribute__((__format__(__printf__, text, values)))
#define ENDS __attribute__((__noreturn__))
#else
#define PRINTS(text, values)
#define ENDS
#endif

/* Prints one line of text on standard error: what happened and what to do about it. Control characters become spaces, since a peer's words may be in it. */
void say(const char *format, ...) PRINTS(1, 2);

/* The same, and ends. Everything stored is whole at any time, so there is nothing to clean up. */
void die(enum exit_code code, const char *format, ...) PRINTS(2, 3) ENDS;

struct app {
    const char *folder;
    struct identity identity;
    char authorities[1024]; /* the file of those whose certificates the broker may show in TLS */
    struct node node;
    struct state_version peers; /* of the file as last read or written */
    int is_locked; /* the folder, for a change of the list */
    int listens;
    int online, relay; /* the broker is there; and it relays */
    uint32_t offline;  /* why it isn't: P2PGATE_OFFLINE_..., 0 if nothing was heard */
    const char *note;  /* what to add where that is told, or NULL */
    uint32_t callers[RECORDER_SESSIONS]; /* sessions with callers */
    size_t caller_count;
    /* The command's: what else has happened. */
    void *command;
    void (*event)(struct app *app, const p2pgate_event_t *event);
    int (*payload)(struct app *app, uint32_t session, uint64_t offset, const uint8_t *bytes, size_t length);
};

/* Reads who this recorder is. */
void app_open(struct app *app, const char *folder);

/* Makes the terminal: its seed is replaced on the disk before any secret is drawn from it, and the list is as stored. `load_limit` 101: never busy by
   load. */
void app_start(struct app *app, int listens, unsigned load_limit, unsigned load_sessions);

/* Connects to the broker, and ends if it isn't there. */
void app_go_online(struct app *app);

/* Waits for something to happen, `longest` milliseconds at most, and does what there is to do. */
void app_turn(struct app *app, uint64_t longest);

/* Changes the list on top of what is stored, so that no other process's change is lost. With `create` it becomes `add`. */
void app_permit(struct app *app, int create, const p2pgate_entry_t *add, size_t add_count, const p2pgate_entry_t *remove, size_t remove_count);

/* Writes what was said last, for a second at most, and ends the terminal. */
void app_end(struct app *app);

/* Ends since the broker is not there, for this cause. */
void die_offline(const struct app *app, uint32_t cause) ENDS;

#endif
