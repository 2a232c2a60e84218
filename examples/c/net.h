/*
 * The network as the node needs it: a fixed number of TCP connections ("slots"), none of which ever waits. recorder.c has it on POSIX sockets,
 * recorder_lwip.c on lwIP's raw API; a port to another stack is another file like these.
 */
#ifndef NET_H
#define NET_H

#include "p2pgate.h"

/* Connections at once: each session has a peer link and up to two lanes, and up to four attempts before; callers that have not said who they are: four;
   the control link; and some that are being closed. */
#define NET_SLOTS (RECORDER_SESSIONS * 4 + 12)

/* Sessions at once, calls and callers together. */
#ifndef RECORDER_SESSIONS
#define RECORDER_SESSIONS 4
#endif

/* Room for an address as text. */
#define NET_TEXT 64

enum net_state { NET_CONNECTING, NET_OPEN, NET_FAILED };

/* What net_wait waits for. */
struct net_interest {
    unsigned char read[NET_SLOTS];  /* input of this slot */
    unsigned char write[NET_SLOTS]; /* room for output of this slot, or its connection */
    unsigned char accept;           /* callers */
};

/* Milliseconds of a clock that never goes back. */
uint64_t net_now(void);

/* The address number `which` of HOST:PORT. 0, or -1: there are no more. */
int net_resolve(const char *name, unsigned which, p2pgate_address_t *address);

/* The address as text. */
void net_format(const p2pgate_address_t *address, char text[NET_TEXT]);

/* Listens at `at`, port 0 for a free one; `bound` is where. 0, or -1. */
int net_listen(const p2pgate_address_t *at, p2pgate_address_t *bound);

/* Takes a caller that waits into a free slot: 1, or 0 if there is none. */
int net_accept(int slot);

/* Begins to connect a free slot: 0, or -1. */
int net_connect(int slot, const p2pgate_address_t *to);

/* Puts TLS around a slot that was just connected to the broker `name` (HOST:PORT), whose certificate has to come from `authorities` (a file of PEM). 0, or
   -1: also where the program is built without. */
int net_secure(int slot, const char *name, const char *authorities);

/* How far that is. */
enum net_state net_state(int slot);

/* Reads up to `room` bytes: how many, 0 if there are none for now, -1 if no more will come. */
long net_read(int slot, uint8_t *bytes, size_t room);

/* Writes what the connection takes now: how many bytes, 0 if none for now, -1 if it is lost. */
long net_write(int slot, const uint8_t *bytes, size_t length);

/* Ends a connection: what net_write took still goes out. The slot is free again. */
void net_close(int slot);

/* Waits for what is wanted, for `milliseconds` at most. */
void net_wait(const struct net_interest *interest, uint64_t milliseconds);

#endif
