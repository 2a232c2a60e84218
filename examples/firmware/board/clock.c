/* Time by SysTick, and the share of it that goes to work. */
#include "board.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)

/* Wraps after 49 days in a word, so two; a product may have a clock of 64 bits. */
static volatile uint32_t passed_low, passed_high;
static volatile bool woken;
static uint64_t rested, last_rested, last_asked;

void clock_interrupt(void)
{
    if (++passed_low == 0)
        passed_high++;
    woken = true;
}

void clock_start(void)
{
    SYST_RVR = TICKS_PER_MS - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
}

uint64_t milliseconds(void)
{
    uint32_t low, high;
    do {
        high = passed_high;
        low = passed_low;
    } while (high != passed_high);
    return (uint64_t)high << 32 | low;
}

uint64_t ticks(void)
{
    uint64_t passed;
    uint32_t left;
    do {
        passed = milliseconds();
        left = SYST_CVR;
    } while (passed != milliseconds());
    return passed * TICKS_PER_MS + (TICKS_PER_MS - 1 - left);
}

uint64_t instructions(uint64_t count)
{
    return count * 40 / 64;
}

void wake(void)
{
    woken = true;
}

void rest(void)
{
    const uint64_t since = ticks();
    for (;;) {
        /* An interrupt between the look and the sleep still ends the sleep, as it is pending. */
        __asm__ volatile("cpsid i" : : : "memory");
        const bool over = woken;
        if (!over)
            __asm__ volatile("wfi" : : : "memory");
        __asm__ volatile("cpsie i\n isb" : : : "memory");
        if (over)
            break;
    }
    woken = false;
    rested += ticks() - since;
}

uint32_t load_since_last(void)
{
    const uint64_t now = ticks(), passed = now - last_asked, idle = rested - last_rested;
    last_asked = now;
    last_rested = rested;
    return passed == 0 || idle >= passed ? 0 : (uint32_t)((passed - idle) * 100 / passed);
}
