/* What the user types, in the words of the Rust recorder. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "app.h"

struct options {
    const char *state, *id, *broker, *broker_key, *ticket, *tls_ca; /* init */
    int tls;
    const char *create, *add, *delete_;                    /* allow */
    const char *out, *listen, *announce, *load_limit, *sessions; /* receive */
    const char *to, *as, *relay_below, *file;              /* send */
    int fingerprints, once, seal_rest, hash;
};

/* Reads the command line and does what it says. */
int run(int argc, char **argv);

/* One command each; they end the program if it comes to nothing. */
void receive(struct app *app, const struct options *options);
void send_recording(struct app *app, const struct options *options);

/* A number of up to `most`. */
unsigned long long parse_number(const char *option, const char *text, unsigned long long most);

#endif
