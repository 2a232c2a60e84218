/* What stands for a network stack: a modem at UART 4, which connects UARTs 0 to 3 as it is told. README.md has its commands. */
#ifndef MODEM_H
#define MODEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum modem_kind { MODEM_OPENED, MODEM_CLOSED, MODEM_RING, MODEM_LISTENING, MODEM_WORK };

/* A line of the modem's. */
struct modem_line {
    enum modem_kind kind;
    uint32_t channel; /* of OPENED and CLOSED */
    uint32_t number;  /* CLOSED: the bytes that the channel brought since the start; LISTENING: the port; WORK: on or off */
};

void modem_listen(void);
/* `address` is text, as in "192.0.2.1:7700". */
void modem_connect(unsigned channel, const char *address);
void modem_accept(unsigned channel);
/* The connection ends after the channel's byte number `written`, counted since the start. */
void modem_close(unsigned channel, uint32_t written);
/* The next line, if one is there. */
bool modem_next(struct modem_line *line);

#endif
