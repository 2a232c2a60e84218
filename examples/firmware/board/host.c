/* Semihosting: QEMU, or a debugger, does what the image asks. A product has none of it. */
#include "board.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_REMOVE = 0x0E,
    SYS_RENAME = 0x0F,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};

#define READ_BINARY 1u
#define WRITE_BINARY 5u
#define EXITED 0x20026u

static int ask(uint32_t what, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int)r0;
}

static size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

void say(const char *text)
{
    ask(SYS_WRITE0, text);
}

void say_bytes(const void *text, size_t length)
{
    const char *at = text;
    for (; length > 0; length--) {
        const char piece[2] = {*at++, '\0'};
        say(piece);
    }
}

void say_number(uint64_t number)
{
    char text[21];
    char *at = text + sizeof text;
    *--at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    say(at);
}

void say_hex(const uint8_t *bytes, size_t length)
{
    for (; length > 0; length--, bytes++) {
        const char text[3] = {"0123456789abcdef"[*bytes >> 4], "0123456789abcdef"[*bytes & 15], '\0'};
        say(text);
    }
}

static int open_as(const char *name, uint32_t mode)
{
    const uintptr_t arguments[] = {(uintptr_t)name, mode, length_of(name)};
    return ask(SYS_OPEN, arguments);
}

int host_open(const char *name)
{
    return open_as(name, READ_BINARY);
}

size_t host_next(int file, void *bytes, size_t room)
{
    const uintptr_t arguments[] = {(uintptr_t)file, (uintptr_t)bytes, room};
    const int left = ask(SYS_READ, arguments);
    return left < 0 || (size_t)left > room ? 0 : room - (size_t)left;
}

void host_close(int file)
{
    const uintptr_t arguments[] = {(uintptr_t)file};
    ask(SYS_CLOSE, arguments);
}

int host_read(const char *name, void *bytes, size_t room)
{
    const int file = host_open(name);
    if (file < 0)
        return -1;
    const size_t length = host_next(file, bytes, room);
    host_close(file);
    return (int)length;
}

bool host_replace(const char *name, const void *bytes, size_t length)
{
    static const char fresh[] = "fresh";
    const int file = open_as(fresh, WRITE_BINARY);
    if (file < 0)
        return false;
    const uintptr_t what[] = {(uintptr_t)file, (uintptr_t)bytes, length};
    const bool written = ask(SYS_WRITE, what) == 0;
    host_close(file);
    const uintptr_t names[] = {(uintptr_t)fresh, sizeof fresh - 1, (uintptr_t)name, length_of(name)};
    return written && ask(SYS_RENAME, names) == 0;
}

void host_remove(const char *name)
{
    const uintptr_t arguments[] = {(uintptr_t)name, length_of(name)};
    ask(SYS_REMOVE, arguments);
}

void host_argument(char *text, size_t room)
{
    char line[160];
    const uintptr_t arguments[] = {(uintptr_t)line, sizeof line};
    uintptr_t block[] = {arguments[0], arguments[1]};
    text[0] = '\0';
    if (ask(SYS_GET_CMDLINE, block) != 0)
        return;
    size_t at = 0;
    while (line[at] != '\0' && line[at] != ' ')
        at++;
    while (line[at] == ' ')
        at++;
    size_t length = 0;
    while (line[at] != '\0' && length + 1 < room)
        text[length++] = line[at++];
    text[length] = '\0';
}

_Noreturn void host_exit(int code)
{
    const uintptr_t arguments[] = {EXITED, (uintptr_t)code};
    ask(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}
