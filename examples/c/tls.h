/*
 * TLS around connections to the broker, for recorder.c when it is built with RECORDER_TLS. tls.c has it by OpenSSL. What is inside protects itself:
 * TLS is for networks that let nothing else through.
 */
#ifndef TLS_H
#define TLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef RECORDER_TLS
/* Begins it on a slot's socket, towards HOST of `name` (HOST:PORT). `authorities` is a file (PEM) of those whose certificates count, NULL: the system's.
   0, or -1. */
int tls_begin(int slot, int file, const char *name, const char *authorities);

/* Whether a slot has it. */
int tls_is_on(int slot);

/* As net_read and net_write. */
long tls_read(int slot, uint8_t *bytes, size_t room);
long tls_write(int slot, const uint8_t *bytes, size_t length);

/* Says that nothing more comes, and is off again. */
void tls_end(int slot, int file);

/* What poll has to wait for, in place of `events`: the handshake may have to read before anything is written. 0: something is there already. */
short tls_events(int slot, short events);
#else
/* Built without: there is none to begin. */
static inline int tls_begin(int slot, int file, const char *name, const char *authorities)
{
    (void)slot, (void)file, (void)name, (void)authorities;
    return -1;
}

static inline int tls_is_on(int slot)
{
    (void)slot;
    return 0;
}

static inline long tls_read(int slot, uint8_t *bytes, size_t room)
{
    (void)slot, (void)bytes, (void)room;
    return -1;
}

static inline long tls_write(int slot, const uint8_t *bytes, size_t length)
{
    (void)slot, (void)bytes, (void)length;
    return -1;
}

static inline void tls_end(int slot, int file)
{
    (void)slot, (void)file;
}

static inline short tls_events(int slot, short events)
{
    (void)slot;
    return events;
}
#endif

#endif
