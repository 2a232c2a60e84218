/*
 * A terminal with its connections: carries bytes, time and deadlines in, and bytes and events out. Knows neither sockets (net.h) nor files.
 */
#ifndef NODE_H
#define NODE_H

#include "net.h"

/* Terminals known: those on the list, and those called. */
#ifndef RECORDER_PEERS
#define RECORDER_PEERS 64
#endif

/* Payload bytes of the largest frame taken and sent. */
#ifndef RECORDER_PAYLOAD
#define RECORDER_PAYLOAD 16384
#endif

#define NODE_RECORD 2048
#define NODE_FRAME (RECORDER_PAYLOAD + P2PGATE_LANE_OVERHEAD)
/* A record with its length, or a frame with its. */
#define NODE_INPUT (4 + (NODE_FRAME > NODE_RECORD ? NODE_FRAME : NODE_RECORD))
/* What the terminal says at once, but for a long list. */
#define NODE_OUTPUT 1200

/* One connection: its number is the terminal's, its place in the table is the network's. */
struct wire {
    enum { WIRE_FREE, WIRE_CONNECTING, WIRE_OPEN, WIRE_CLOSING } phase;
    uint32_t link;
    int to_broker;
    uint64_t close_by;              /* closing: when it is closed whatever is left to write */
    size_t start, end, need;        /* of `input`: what is there, and from how many bytes on it makes sense */
    const uint8_t *out;             /* `output`, or the node's `list` */
    size_t out_start, out_end;      /* of it: what is still to be written */
    uint8_t input[NODE_INPUT];
    uint8_t output[NODE_OUTPUT];
};

/* What a node is made with; kept by nobody. */
struct node_options {
    const char *identifier;
    const uint8_t *secret_key, *broker_key; /* 32 bytes each */
    const uint8_t *seed, *entropy;          /* 32 bytes each */
    int listens;                            /* takes callers */
    unsigned load_limit, load_sessions;     /* when it doesn't; see p2pgate_config_t */
};

struct node {
    uint64_t terminal[P2PGATE_TERMINAL_WORDS(RECORDER_SESSIONS, RECORDER_PEERS)];
    struct wire wires[NET_SLOTS];
    const char *broker;      /* HOST:PORT */
    int tls;                 /* what goes there has TLS around it */
    const char *authorities; /* a file: those whose certificates the broker may show, NULL: the system's */
    unsigned broker_try;
    int listens;
    int busy; /* there is more to do at once */
    /* The list of permitted terminals, when the control link tells it. */
    uint8_t list[P2PGATE_TRANSMIT_LENGTH(RECORDER_PEERS)];
    /* The one frame that was sealed and is not written yet: its part of the buffer. */
    uint32_t frame_link;
    size_t frame_start, frame_end;
    uint8_t frame[P2PGATE_LANE_HEADROOM + RECORDER_PAYLOAD + P2PGATE_LANE_TAILROOM];
    /* The program's: what has happened; and the recording's bytes as they come in, -1 if they can't be taken. */
    void *owner;
    void (*event)(void *owner, const p2pgate_event_t *event);
    int (*payload)(void *owner, uint32_t session, uint64_t offset, const uint8_t *bytes, size_t length);
};

/* Makes the terminal; `node` is zeroed but for broker, tls, authorities, owner, event and payload, and stays where it is. `new_seed` has to be stored before anything else
   is done. */
p2pgate_result_t node_init(struct node *node, const struct node_options *options, uint8_t new_seed[P2PGATE_KEY_LENGTH]);

/* Waits for input, room for output or a deadline, for `longest` milliseconds at most. */
void node_wait(struct node *node, uint64_t longest);

/* Does what there is to do, for a bounded time; the program hears of it by `event` and `payload`. */
void node_work(struct node *node);

/* Whether everything that was said and sealed is written. */
int node_is_drained(const struct node *node);

/* Whether the next frame may be sealed: none waits for its lane. */
int node_can_send(const struct node *node);

/* Seals a piece of the recording, at most RECORDER_PAYLOAD bytes, and writes it. Only while node_can_send. */
p2pgate_result_t node_send(struct node *node, uint32_t session, const p2pgate_piece_t *piece, const uint8_t *bytes);

/* Seals and writes the end of a class's lane; `hash` is the recording's SHA-256 if it was offered, else NULL. Only while node_can_send. */
p2pgate_result_t node_send_end(struct node *node, uint32_t session, uint32_t class_, uint64_t segments, const uint8_t *hash);

/* Wipes the terminal and closes its connections. */
void node_deinit(struct node *node);

#endif
