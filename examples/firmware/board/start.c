/* From reset to main(); the four functions that the library wants of a C library. */
#include "board.h"

extern uint8_t data_image[], data_start[], data_end[], bss_start[], bss_end[];
extern uint32_t stack_end[], stack_start[];

int main(void);
void reset(void);

/* What the stack has where nothing was yet. */
#define PAINT 0xC5C5C5C5u

/* The processor takes words at any address. */
typedef uint32_t __attribute__((aligned(1), may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    for (; length >= 4; length -= 4, out += 4, in += 4)
        *(word *)out = *(const word *)in;
    while (length-- > 0)
        *out++ = *in++;
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if (out <= in || out >= in + length)
        return memcpy(to, from, length); /* forwards, which is right where `to` comes first */
    while (length-- > 0)
        out[length] = in[length];
    return to;
}

void *memset(void *to, int value, size_t length)
{
    uint8_t *out = to;
    const uint32_t all = (uint8_t)value * 0x01010101u;
    for (; length >= 4; length -= 4, out += 4)
        *(word *)out = all;
    while (length-- > 0)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *one, const void *other, size_t length)
{
    const uint8_t *a = one, *b = other;
    for (; length > 0; length--, a++, b++)
        if (*a != *b)
            return *a - *b;
    return 0;
}

size_t stack_used(void)
{
    const uint32_t *at = stack_end;
    while (at < stack_start && *at == PAINT)
        at++;
    return (size_t)((const uint8_t *)stack_start - (const uint8_t *)at);
}

size_t data_used(void)
{
    return (size_t)(data_end - data_start) + (size_t)(bss_end - bss_start);
}

static void fault(void)
{
    say("fault\n");
    host_exit(3);
}

static void start(void)
{
    /* The floating-point unit, before any code that may use its registers. */
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
    memcpy(data_start, data_image, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    host_exit(main());
}

__attribute__((naked)) void reset(void)
{
    /* Nothing lies on the stack yet, so all of it can be painted. */
    __asm__ volatile("ldr r0, =stack_end\n"
                     "ldr r1, =stack_start\n"
                     "ldr r2, =%c0\n"
                     "1: str r2, [r0], #4\n"
                     "cmp r0, r1\n"
                     "blo 1b\n"
                     "b %c1\n"
                     : : "i"(PAINT), "i"(start));
}

/* What the processor takes from address 0: its stack, and who handles what. */
union vector {
    uint32_t *stack;
    void (*handler)(void);
};

__attribute__((used, section(".vectors"))) static const union vector vectors[16 + 22] = {
    [0] = {.stack = stack_start},
    [1] = {.handler = reset},
    [2] = {.handler = fault},
    [3] = {.handler = fault},
    [4] = {.handler = fault},
    [5] = {.handler = fault},
    [6] = {.handler = fault},
    [11] = {.handler = fault},
    [15] = {.handler = clock_interrupt},
    /* Receive and transmit of each UART. */
    [16 + 0] = {.handler = uart0_interrupt},
    [16 + 1] = {.handler = uart0_interrupt},
    [16 + 2] = {.handler = uart1_interrupt},
    [16 + 3] = {.handler = uart1_interrupt},
    [16 + 4] = {.handler = uart2_interrupt},
    [16 + 5] = {.handler = uart2_interrupt},
    [16 + 18] = {.handler = uart3_interrupt},
    [16 + 19] = {.handler = uart3_interrupt},
    [16 + 20] = {.handler = uart4_interrupt},
    [16 + 21] = {.handler = uart4_interrupt},
};
