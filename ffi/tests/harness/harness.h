/* What the parts of the harness share. */
#ifndef HARNESS_H
#define HARNESS_H

#include "p2pgate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
            exit(1); \
        } \
    } while (0)

/* A call that has to give this result. */
#define GIVES(want, call) \
    do { \
        p2pgate_result_t gave = (call); \
        if (gave != (want)) { \
            fprintf(stderr, "%s:%d: %s gave %d, not %s: %s\n", __FILE__, __LINE__, #call, (int)gave, #want, \
                    p2pgate_strerror(gave)); \
            exit(1); \
        } \
    } while (0)

#define OK(call) GIVES(P2PGATE_OK, call)

/* Whether all bytes are 0xA5, as before a call that must not write. */
static inline int untouched(const void *data, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)data;
    for (size_t at = 0; at < length; at++)
        if (bytes[at] != 0xA5)
            return 0;
    return 1;
}

void test_objects(void);
void test_terminal_calls(void);
void test_world(void);

/* The broker, in Rust. */
struct hub;
struct hub *harness_broker(uint8_t *public_key);
void harness_broker_end(struct hub *hub);
void harness_connected(struct hub *hub, uint64_t connection, uint64_t now);
void harness_disconnected(struct hub *hub, uint64_t connection, uint64_t now);
void harness_input(struct hub *hub, uint64_t connection, const uint8_t *bytes, size_t length, uint64_t now);
size_t harness_output(struct hub *hub, uint64_t connection, uint8_t *out, size_t room);
int harness_closes(struct hub *hub, uint64_t connection);

#endif
