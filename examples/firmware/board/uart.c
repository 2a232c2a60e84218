/* The board's five CMSDK UARTs. Each holds one byte; the rings are what the interrupts fill and empty. */
#include "board.h"

struct registers {
    volatile uint32_t data, state, control, interrupts, divider;
};

/* Bits of state, control and interrupts. */
#define TX_FULL 1u
#define RX_FULL 2u
#define TX_ENABLE 1u
#define RX_ENABLE 2u
#define TX_INTERRUPT 4u
#define RX_INTERRUPT 8u
#define TX_HAPPENED 1u
#define RX_HAPPENED 2u

#define NVIC_ISER (*(volatile uint32_t *)0xE000E100)

/* One side writes `head`, the other `tail`: no lock is needed. Both run on; the difference is what is there. */
struct ring {
    volatile uint8_t head, tail;
    uint8_t bytes[RING];
};

static struct registers *const uarts[UARTS] = {
    (struct registers *)0x40004000, (struct registers *)0x40005000, (struct registers *)0x40006000,
    (struct registers *)0x40007000, (struct registers *)0x40009000,
};
static struct ring in[UARTS], out[UARTS];

static unsigned held(const struct ring *ring)
{
    return (uint8_t)(ring->head - ring->tail);
}

/* A byte that finds the ring full stays in the UART, which then says to the other side that it can't take more (with wires: RTS). */
static void receive(unsigned number)
{
    struct registers *uart = uarts[number];
    struct ring *ring = &in[number];
    while (uart->state & RX_FULL) {
        if (held(ring) == RING) {
            uart->control &= ~RX_INTERRUPT;
            break;
        }
        ring->bytes[ring->head % RING] = (uint8_t)uart->data;
        ring->head++;
    }
    if (held(ring) >= RING / 2)
        wake();
}

static void transmit(unsigned number)
{
    struct registers *uart = uarts[number];
    struct ring *ring = &out[number];
    while (held(ring) > 0 && !(uart->state & TX_FULL)) {
        const uint8_t byte = ring->bytes[ring->tail % RING];
        ring->tail++;
        uart->data = byte;
    }
}

static void interrupt(unsigned number)
{
    struct registers *uart = uarts[number];
    const uint32_t happened = uart->interrupts;
    uart->interrupts = happened;
    if (happened & RX_HAPPENED)
        receive(number);
    if (happened & TX_HAPPENED) {
        transmit(number);
        if (held(&out[number]) <= RING / 2)
            wake();
    }
}

void uart0_interrupt(void) { interrupt(0); }
void uart1_interrupt(void) { interrupt(1); }
void uart2_interrupt(void) { interrupt(2); }
void uart3_interrupt(void) { interrupt(3); }
void uart4_interrupt(void) { interrupt(4); }

void uart_start(void)
{
    for (unsigned number = 0; number < UARTS; number++) {
        uarts[number]->divider = 16;
        uarts[number]->control = TX_ENABLE | RX_ENABLE | TX_INTERRUPT | RX_INTERRUPT;
    }
    /* Receive and transmit of each: 0 to 5, and 18 to 21. */
    NVIC_ISER = 0x3Fu | 0xFu << 18;
}

size_t uart_read(unsigned number, uint8_t *bytes, size_t room)
{
    struct ring *ring = &in[number];
    size_t length = 0;
    while (length < room && held(ring) > 0) {
        bytes[length++] = ring->bytes[ring->tail % RING];
        ring->tail++;
    }
    if (length > 0 && !(uarts[number]->control & RX_INTERRUPT)) {
        /* The byte that found the ring full makes no further interrupt. */
        __asm__ volatile("cpsid i" : : : "memory");
        uarts[number]->control |= RX_INTERRUPT;
        receive(number);
        __asm__ volatile("cpsie i" : : : "memory");
    }
    return length;
}

size_t uart_write(unsigned number, const uint8_t *bytes, size_t length)
{
    struct ring *ring = &out[number];
    size_t written = 0;
    while (written < length && held(ring) < RING) {
        ring->bytes[ring->head % RING] = bytes[written++];
        ring->head++;
    }
    /* An idle transmitter makes no interrupt: the first byte is put in by hand. */
    __asm__ volatile("cpsid i" : : : "memory");
    transmit(number);
    __asm__ volatile("cpsie i" : : : "memory");
    return written;
}
