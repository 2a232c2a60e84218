#include "modem.h"

#include "board/board.h"

#define CHANNEL 4

/* Commands are short and the modem always takes them: waiting here is waiting for a few bytes. */
static void put(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    for (size_t at = 0; at < length;) {
        at += uart_write(CHANNEL, (const uint8_t *)text + at, length - at);
        if (at < length)
            rest();
    }
}

static void put_number(uint32_t number)
{
    char text[12];
    char *at = text + sizeof text;
    *--at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    *--at = ' ';
    put(at);
}

void modem_listen(void)
{
    put("LISTEN\n");
}

void modem_connect(unsigned channel, const char *address)
{
    put("CONNECT");
    put_number(channel);
    put(" ");
    put(address);
    put("\n");
}

void modem_accept(unsigned channel)
{
    put("ACCEPT");
    put_number(channel);
    put("\n");
}

void modem_close(unsigned channel, uint32_t written)
{
    put("CLOSE");
    put_number(channel);
    put_number(written);
    put("\n");
}

static uint32_t number(const char **text)
{
    uint32_t value = 0;
    while (**text == ' ')
        ++*text;
    while (**text >= '0' && **text <= '9')
        value = value * 10 + (uint32_t)(*(*text)++ - '0');
    return value;
}

static bool starts(const char **text, const char *word)
{
    const char *at = *text;
    while (*word != '\0')
        if (*at++ != *word++)
            return false;
    *text = at;
    return true;
}

static bool parse(const char *text, struct modem_line *line)
{
    line->channel = 0;
    line->number = 0;
    if (starts(&text, "OPENED")) {
        line->kind = MODEM_OPENED;
        line->channel = number(&text);
    } else if (starts(&text, "CLOSED")) {
        line->kind = MODEM_CLOSED;
        line->channel = number(&text);
        line->number = number(&text);
    } else if (starts(&text, "RING")) {
        line->kind = MODEM_RING;
    } else if (starts(&text, "LISTENING")) {
        line->kind = MODEM_LISTENING;
        line->number = number(&text);
    } else if (starts(&text, "WORK")) {
        line->kind = MODEM_WORK;
        line->number = number(&text);
    } else {
        return false;
    }
    return true;
}

bool modem_next(struct modem_line *line)
{
    static char text[40];
    static size_t length;
    uint8_t byte;
    while (uart_read(CHANNEL, &byte, 1) == 1) {
        if (byte != '\n') {
            /* Lines are never as long as the room for them. */
            if (length + 1 < sizeof text)
                text[length++] = (char)byte;
            continue;
        }
        text[length] = '\0';
        length = 0;
        if (parse(text, line))
            return true;
    }
    return false;
}
