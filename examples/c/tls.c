/* TLS by OpenSSL 1.1.1 or later. */
#include "net.h"
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* How long a connection that is over may take for its last words. */
#define LAST_WORDS_MS 5000

static SSL_CTX *context;
static SSL *connections[NET_SLOTS];

/* Once: every connection of this program goes to the same broker. */
static int prepare(const char *authorities)
{
    if (context != NULL)
        return 0;
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        (authorities == NULL ? SSL_CTX_set_default_verify_paths(context) : SSL_CTX_load_verify_locations(context, authorities, NULL)) != 1) {
        SSL_CTX_free(context);
        context = NULL;
        return -1;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    /* What is written again after a partial write may lie elsewhere. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return 0;
}

int tls_begin(int slot, int file, const char *name, const char *authorities)
{
    const char *colon = strrchr(name, ':');
    const size_t length = colon == NULL ? strlen(name) : (size_t)(colon - name);
    const int bracketed = length >= 2 && name[0] == '[' && name[length - 1] == ']';
    char host[256];
    X509_VERIFY_PARAM *check;
    SSL *ssl;

    if (length >= sizeof host || prepare(authorities) != 0 || (ssl = SSL_new(context)) == NULL)
        return -1;
    snprintf(host, sizeof host, "%.*s", (int)length - 2 * bracketed, name + bracketed);
    check = SSL_get0_param(ssl);
    /* A certificate is for a name or for an address; only a name is told to the other end. */
    if ((X509_VERIFY_PARAM_set1_ip_asc(check, host) != 1 &&
         (X509_VERIFY_PARAM_set1_host(check, host, 0) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1)) ||
        SSL_set_fd(ssl, file) != 1) {
        SSL_free(ssl);
        return -1;
    }
    SSL_set_connect_state(ssl);
    connections[slot] = ssl;
    return 0;
}

int tls_is_on(int slot)
{
    return connections[slot] != NULL;
}

/* What a call came to that did nothing: 0 or -1. */
static long outcome(SSL *ssl, int result)
{
    const int error = SSL_get_error(ssl, result);
    const long verified = SSL_get_verify_result(ssl);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_SSL && !SSL_is_init_finished(ssl))
        fprintf(stderr, "recorder: TLS with the broker fails: %s\n",
                verified != X509_V_OK ? X509_verify_cert_error_string(verified) : ERR_reason_error_string(ERR_peek_error()));
    ERR_clear_error();
    return -1;
}

long tls_read(int slot, uint8_t *bytes, size_t room)
{
    size_t got;
    int result;

    if (room == 0)
        return 0;
    ERR_clear_error();
    result = SSL_read_ex(connections[slot], bytes, room, &got);
    return result == 1 ? (long)got : outcome(connections[slot], result);
}

long tls_write(int slot, const uint8_t *bytes, size_t length)
{
    size_t written;
    int result;

    if (length == 0)
        return 0;
    ERR_clear_error();
    result = SSL_write_ex(connections[slot], bytes, length, &written);
    return result == 1 ? (long)written : outcome(connections[slot], result);
}

void tls_end(int slot, int file)
{
    SSL *ssl = connections[slot];
    struct pollfd room = {file, POLLOUT, 0};

    ERR_clear_error();
    /* Only as long as there is room to come: a connection that is lost has none, and poll would say so again and again. */
    for (int result; SSL_is_init_finished(ssl) && (result = SSL_shutdown(ssl)) < 0 && SSL_get_error(ssl, result) == SSL_ERROR_WANT_WRITE &&
                     poll(&room, 1, LAST_WORDS_MS) > 0;)
        ERR_clear_error();
    ERR_clear_error();
    SSL_free(ssl);
    connections[slot] = NULL;
}

short tls_events(int slot, short events)
{
    SSL *ssl = connections[slot];

    if ((events & POLLIN) && SSL_pending(ssl) > 0)
        return 0;
    if (!SSL_is_init_finished(ssl) && SSL_want_read(ssl))
        return POLLIN;
    return events;
}
