/*
 * A recorder for POSIX systems, in C: sockets and poll, no threads, no heap. This file is the network (net.h) and main; everything else is shared with
 * recorder_lwip.c:
 *
 *   node.c               the terminal and its connections: what a device copies
 *   app.c                its stored state, the way to the broker
 *   state.c              small files that are replaced as a whole
 *   incoming.c           a recording on its way in
 *   outgoing.c           a recording on its way out
 *   commands.c, receive.c, send.c, fetch.c
 */
#include "commands.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* SIGPIPE is ignored all the same */
#endif

static int sockets[NET_SLOTS];
static int listener = -1;

uint64_t net_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- addresses --------------------------------------------------------------------------------------------------------------------------------------- */

static void address_from(p2pgate_address_t *address, const struct sockaddr *from)
{
    memset(address, 0, sizeof *address);
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        address->family = 4;
        address->port = ntohs(in.sin_port);
        memcpy(address->ip, &in.sin_addr, 4);
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        address->family = 6;
        address->port = ntohs(in6.sin6_port);
        address->scope = in6.sin6_scope_id;
        memcpy(address->ip, &in6.sin6_addr, 16);
    }
}

static socklen_t address_to(const p2pgate_address_t *address, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (address->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)address->port);
        memcpy(&in->sin_addr, address->ip, 4);
        return sizeof *in;
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)address->port);
        in6->sin6_scope_id = address->scope;
        memcpy(&in6->sin6_addr, address->ip, 16);
        return sizeof *in6;
    }
}

int net_resolve(const char *name, unsigned which, p2pgate_address_t *address)
{
    const char *colon = strrchr(name, ':');
    const size_t length = colon == NULL ? 0 : (size_t)(colon - name);
    const int bracketed = length >= 2 && name[0] == '[' && name[length - 1] == ']';
    struct addrinfo hints, *found, *one;
    char host[256];

    if (length == 0 || length >= sizeof host)
        return -1;
    snprintf(host, sizeof host, "%.*s", (int)length - 2 * bracketed, name + bracketed);
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -1;
    for (one = found; one != NULL && which > 0; which--)
        one = one->ai_next;
    if (one != NULL)
        address_from(address, one->ai_addr);
    freeaddrinfo(found);
    return one == NULL ? -1 : 0;
}

void net_format(const p2pgate_address_t *address, char text[NET_TEXT])
{
    char host[INET6_ADDRSTRLEN];

    inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->ip, host, sizeof host);
    snprintf(text, NET_TEXT, address->family == 4 ? "%s:%u" : "[%s]:%u", host, (unsigned)address->port);
}

/* --- connections ------------------------------------------------------------------------------------------------------------------------------------- */

static int open_socket(int family)
{
    const int one = 1;
    const int file = socket(family, SOCK_STREAM, 0);

    if (file < 0)
        return -1;
    if (fcntl(file, F_SETFL, O_NONBLOCK) != 0 || fcntl(file, F_SETFD, FD_CLOEXEC) != 0) {
        close(file);
        return -1;
    }
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return file;
}

int net_listen(const p2pgate_address_t *at, p2pgate_address_t *bound)
{
    const int one = 1, zero = 0;
    struct sockaddr_storage address;
    socklen_t length = address_to(at, &address);

    listener = open_socket(address.ss_family);
    if (listener < 0)
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    /* At :: for IPv4 as well, whatever the system's setting. */
    if (address.ss_family == AF_INET6)
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 16) != 0) {
        close(listener);
        return -1;
    }
    length = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        return -1;
    address_from(bound, (struct sockaddr *)&address);
    return 0;
}

int net_accept(int slot)
{
    const int one = 1;
    const int file = accept(listener, NULL, NULL);

    if (file < 0)
        return 0;
    if (fcntl(file, F_SETFL, O_NONBLOCK) != 0 || fcntl(file, F_SETFD, FD_CLOEXEC) != 0) {
        close(file);
        return 0;
    }
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockets[slot] = file;
    return 1;
}

int net_connect(int slot, const p2pgate_address_t *to)
{
    struct sockaddr_storage address;
    const socklen_t length = address_to(to, &address);
    const int file = open_socket(address.ss_family);

    if (file < 0)
        return -1;
    if (connect(file, (struct sockaddr *)&address, length) != 0 && errno != EINPROGRESS && errno != EINTR) {
        close(file);
        return -1;
    }
    sockets[slot] = file;
    return 0;
}

int net_secure(int slot, const char *name, const char *authorities)
{
    return tls_begin(slot, sockets[slot], name, authorities);
}

enum net_state net_state(int slot)
{
    struct pollfd poll_ = {sockets[slot], POLLOUT, 0};
    int error = 0;
    socklen_t length = sizeof error;

    if (poll(&poll_, 1, 0) <= 0)
        return NET_CONNECTING;
    return getsockopt(sockets[slot], SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0 && (poll_.revents & POLLOUT) ? NET_OPEN : NET_FAILED;
}

long net_read(int slot, uint8_t *bytes, size_t room)
{
    ssize_t got;

    if (tls_is_on(slot))
        return tls_read(slot, bytes, room);
    do
        got = recv(sockets[slot], bytes, room, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return (long)got;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : -1;
}

long net_write(int slot, const uint8_t *bytes, size_t length)
{
    ssize_t written;

    if (tls_is_on(slot))
        return tls_write(slot, bytes, length);
    do
        written = send(sockets[slot], bytes, length, MSG_NOSIGNAL);
    while (written < 0 && errno == EINTR);
    if (written >= 0)
        return (long)written;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

void net_close(int slot)
{
    if (tls_is_on(slot))
        tls_end(slot, sockets[slot]);
    shutdown(sockets[slot], SHUT_WR);
    close(sockets[slot]);
}

void net_wait(const struct net_interest *interest, uint64_t milliseconds)
{
    struct pollfd polls[NET_SLOTS + 1];
    nfds_t count = 0;

    /* Only what is wanted: poll tells of lost connections, too, and would return at once as long as nobody reads. */
    for (int slot = 0; slot < NET_SLOTS; slot++)
        if (interest->read[slot] || interest->write[slot]) {
            polls[count].fd = sockets[slot];
            polls[count].events = (short)((interest->read[slot] ? POLLIN : 0) | (interest->write[slot] ? POLLOUT : 0));
            if (tls_is_on(slot) && (polls[count].events = tls_events(slot, polls[count].events)) == 0)
                milliseconds = 0;
            polls[count++].revents = 0;
        }
    if (interest->accept) {
        polls[count].fd = listener;
        polls[count].events = POLLIN;
        polls[count++].revents = 0;
    }
    /* What has come is seen by reading. */
    poll(polls, count, milliseconds > 60000 ? 60000 : (int)milliseconds);
}

int main(int argc, char **argv)
{
    /* OpenSSL writes without MSG_NOSIGNAL: a broker that is gone must not end this program. */
    signal(SIGPIPE, SIG_IGN);
    return run(argc, argv);
}
