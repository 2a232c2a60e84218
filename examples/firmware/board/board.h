/* What the programs use of the board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *one, const void *other, size_t length);

/* The most that the stack ever held, and what static data take, bytes. */
size_t stack_used(void);
size_t data_used(void);

/* SysTick: a tick is a cycle of the 25 MHz clock. */
#define TICKS_PER_MS 25000u
void clock_start(void);
uint64_t milliseconds(void);
uint64_t ticks(void);
/* Under QEMU's `-icount shift=6` an instruction takes 64 ns, so ticks tell instructions. */
uint64_t instructions(uint64_t ticks);
void clock_interrupt(void);

/* Sleeps until the next millisecond, or until a UART's ring is half full. Counts as idle. */
void rest(void);
/* Ends rest(), from an interrupt. */
void wake(void);
/* How much of the time since the last call was not spent in rest(), per cent. */
uint32_t load_since_last(void);

/* UARTs with a ring each way, emptied and filled by interrupts. */
#define UARTS 5
#define RING 64
void uart_start(void);
/* Takes up to `room` bytes that came; gives how many. */
size_t uart_read(unsigned number, uint8_t *bytes, size_t room);
/* Puts up to `length` bytes on their way; gives how many. */
size_t uart_write(unsigned number, const uint8_t *bytes, size_t length);
void uart0_interrupt(void);
void uart1_interrupt(void);
void uart2_interrupt(void);
void uart3_interrupt(void);
void uart4_interrupt(void);

/* The host, by semihosting: the console, and files that stand for flash and for a random generator. */
void say(const char *text);
void say_bytes(const void *text, size_t length);
void say_number(uint64_t number);
void say_hex(const uint8_t *bytes, size_t length);
/* Reads a file from its start; gives how many bytes, or -1 if there is no such file. */
int host_read(const char *name, void *bytes, size_t room);
/* Opens a file to read it piece by piece, or gives -1. */
int host_open(const char *name);
size_t host_next(int file, void *bytes, size_t room);
void host_close(int file);
/* Replaces a file: after a reset it is the old or the new one. */
bool host_replace(const char *name, const void *bytes, size_t length);
void host_remove(const char *name);
/* What follows the program's name on its command line. */
void host_argument(char *text, size_t room);
_Noreturn void host_exit(int code);

#endif
