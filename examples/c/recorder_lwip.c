/*
 * The recorder on lwIP's raw API, as firmware has it: one loop, no threads, no sockets. This file is the network (net.h) and main; everything else is
 * shared with recorder.c. Linux gives it an Ethernet by a TAP device, and the stored state's files stand for flash.
 *
 *   recorder_lwip TAP ADDRESS COMMAND ...      as recorder COMMAND ..., on TAP as ADDRESS, with the mask 255.255.255.0
 *
 * IPv4 only, addresses by number.
 */
#include "commands.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

#define MTU 1500
#define ETHERNET_HEADER 14
/* Callers that came in and were not taken yet. */
#define CALLERS 4
/* How long what was written may take to go out at the end. */
#define LINGER_MS 2000

/* What lwIP knows of a connection, and what it has brought. Not more than the receive window, since that is only given back as it is read. */
struct connection {
    struct tcp_pcb *pcb; /* NULL once lwIP has freed it */
    enum net_state state;
    int ended; /* no more will come */
    struct pbuf *received;
};

static struct connection connections[NET_SLOTS];
static struct connection callers[CALLERS];
static struct netif interface;
static int tap;

uint64_t net_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- Ethernet ---------------------------------------------------------------------------------------------------------------------------------------- */

static err_t send_packet(struct netif *netif, struct pbuf *packet)
{
    static uint8_t bytes[ETHERNET_HEADER + MTU];
    const uint16_t length = pbuf_copy_partial(packet, bytes, sizeof bytes, 0);

    (void)netif;
    /* What is lost is sent again. */
    return write(tap, bytes, length) == length ? ERR_OK : ERR_IF;
}

static void receive_packets(void)
{
    static uint8_t bytes[ETHERNET_HEADER + MTU];
    ssize_t length;

    while ((length = read(tap, bytes, sizeof bytes)) > 0) {
        /* A driver takes PBUF_POOL; in Debian's library, version 2.1.3, that pool's buffers are smaller than pbuf_alloc believes. */
        struct pbuf *packet = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM);
        if (packet == NULL)
            return;
        pbuf_take(packet, bytes, (u16_t)length);
        if (interface.input(packet, &interface) != ERR_OK)
            pbuf_free(packet);
    }
}

static err_t start_interface(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 'p';
    netif->output = etharp_output;
    netif->linkoutput = send_packet;
    netif->mtu = MTU;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
    /* Administered locally, and the same whenever this address comes up. */
    netif->hwaddr_len = 6;
    netif->hwaddr[0] = 2;
    netif->hwaddr[1] = 0;
    memcpy(netif->hwaddr + 2, netif_ip4_addr(netif), 4);
    return ERR_OK;
}

/* --- addresses --------------------------------------------------------------------------------------------------------------------------------------- */

int net_resolve(const char *name, unsigned which, p2pgate_address_t *address)
{
    const char *colon = strrchr(name, ':');
    char host[16];
    ip4_addr_t ip;
    char *end;
    unsigned long port;

    if (which > 0 || colon == NULL || (size_t)(colon - name) >= sizeof host)
        return -1;
    memcpy(host, name, (size_t)(colon - name));
    host[colon - name] = '\0';
    port = strtoul(colon + 1, &end, 10);
    if (!ip4addr_aton(host, &ip) || colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > 65535)
        return -1;
    memset(address, 0, sizeof *address);
    address->family = 4;
    address->port = (uint32_t)port;
    memcpy(address->ip, &ip.addr, 4);
    return 0;
}

void net_format(const p2pgate_address_t *address, char text[NET_TEXT])
{
    snprintf(text, NET_TEXT, "%u.%u.%u.%u:%u", address->ip[0], address->ip[1], address->ip[2], address->ip[3], (unsigned)address->port);
}

static void ip_of(const p2pgate_address_t *address, ip_addr_t *ip)
{
    ip4_addr_t ip4;

    memcpy(&ip4.addr, address->ip, 4);
    ip_addr_copy_from_ip4(*ip, ip4);
}

/* --- what lwIP calls: it only notes what has happened ------------------------------------------------------------------------------------------------ */

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *bytes, err_t error)
{
    struct connection *connection = argument;

    (void)pcb;
    (void)error;
    if (bytes == NULL)
        connection->ended = 1;
    else if (connection->received == NULL)
        connection->received = bytes;
    else
        pbuf_cat(connection->received, bytes);
    return ERR_OK;
}

static void on_error(void *argument, err_t error)
{
    struct connection *connection = argument;

    (void)error;
    connection->pcb = NULL;
    connection->state = NET_FAILED;
    connection->ended = 1;
}

static void watch(struct connection *connection, struct tcp_pcb *pcb, enum net_state state)
{
    connection->pcb = pcb;
    connection->state = state;
    connection->ended = 0;
    connection->received = NULL;
    tcp_arg(pcb, connection);
    tcp_recv(pcb, on_receive);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error)
{
    struct connection *connection = argument;

    (void)pcb;
    (void)error;
    connection->state = NET_OPEN;
    return ERR_OK;
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error)
{
    (void)argument;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL;
    for (int at = 0; at < CALLERS; at++)
        if (callers[at].pcb == NULL) {
            if (callers[at].received != NULL)
                pbuf_free(callers[at].received); /* of one that was lost before it was taken */
            watch(&callers[at], pcb, NET_OPEN);
            return ERR_OK;
        }
    tcp_abort(pcb);
    return ERR_ABRT;
}

/* --- connections ------------------------------------------------------------------------------------------------------------------------------------- */

int net_listen(const p2pgate_address_t *at, p2pgate_address_t *bound)
{
    struct tcp_pcb *listener, *pcb;
    ip_addr_t ip;

    if (at->family != 4)
        return -1; /* this interface has IPv4 only */
    pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
    ip_of(at, &ip);
    if (pcb == NULL || tcp_bind(pcb, &ip, (u16_t)at->port) != ERR_OK || (listener = tcp_listen(pcb)) == NULL)
        return -1;
    tcp_accept(listener, on_accept);
    *bound = *at;
    bound->port = listener->local_port;
    if (ip_addr_isany(&ip))
        memcpy(bound->ip, netif_ip4_addr(&interface), 4);
    return 0;
}

int net_accept(int slot)
{
    for (int at = 0; at < CALLERS; at++)
        if (callers[at].pcb != NULL) {
            connections[slot] = callers[at];
            tcp_arg(connections[slot].pcb, &connections[slot]);
            callers[at].pcb = NULL;
            callers[at].received = NULL;
            return 1;
        }
    return 0;
}

int net_connect(int slot, const p2pgate_address_t *to)
{
    struct tcp_pcb *pcb = to->family == 4 ? tcp_new_ip_type(IPADDR_TYPE_V4) : NULL;
    ip_addr_t ip;

    if (pcb == NULL)
        return -1;
    ip_of(to, &ip);
    watch(&connections[slot], pcb, NET_CONNECTING);
    if (tcp_connect(pcb, &ip, (u16_t)to->port, on_connected) == ERR_OK)
        return 0;
    tcp_abort(pcb);
    return -1;
}

/* lwIP has TLS of its own, altcp_tls, over mbedTLS: this program does without. */
int net_secure(int slot, const char *name, const char *authorities)
{
    (void)slot, (void)name, (void)authorities;
    return -1;
}

enum net_state net_state(int slot)
{
    return connections[slot].state;
}

long net_read(int slot, uint8_t *bytes, size_t room)
{
    struct connection *connection = &connections[slot];
    uint16_t length;

    if (connection->received == NULL)
        return connection->ended ? -1 : 0;
    length = pbuf_copy_partial(connection->received, bytes, room < 0xffff ? (u16_t)room : 0xffff, 0);
    connection->received = pbuf_free_header(connection->received, length);
    if (connection->pcb != NULL)
        tcp_recved(connection->pcb, length); /* the other end may send as much again */
    return length;
}

long net_write(int slot, const uint8_t *bytes, size_t length)
{
    struct tcp_pcb *pcb = connections[slot].pcb;
    size_t room;
    err_t error;

    if (pcb == NULL)
        return -1;
    room = tcp_sndbuf(pcb) < 0xffff ? tcp_sndbuf(pcb) : 0xffff;
    if (length > room)
        length = room;
    if (length == 0)
        return 0;
    error = tcp_write(pcb, bytes, (u16_t)length, TCP_WRITE_FLAG_COPY);
    if (error == ERR_MEM)
        return 0; /* too many segments wait: later */
    if (error != ERR_OK || tcp_output(pcb) != ERR_OK)
        return -1;
    return (long)length;
}

void net_close(int slot)
{
    struct connection *connection = &connections[slot];

    if (connection->pcb != NULL) {
        tcp_arg(connection->pcb, NULL);
        tcp_recv(connection->pcb, NULL);
        tcp_err(connection->pcb, NULL);
        /* With bytes unread lwIP would send a reset, and what was written might be lost. */
        if (connection->received != NULL)
            tcp_recved(connection->pcb, connection->received->tot_len);
        if (tcp_close(connection->pcb) != ERR_OK)
            tcp_abort(connection->pcb);
    }
    if (connection->received != NULL)
        pbuf_free(connection->received);
    memset(connection, 0, sizeof *connection);
}

/* Everything that lwIP does is done here, or in a call of one of the above. */
void net_wait(const struct net_interest *interest, uint64_t milliseconds)
{
    struct pollfd packets = {tap, POLLIN, 0};
    const u32_t timers = sys_timeouts_sleeptime();

    (void)interest; /* whatever a packet or a timer has brought is seen by trying */
    if (milliseconds > timers)
        milliseconds = timers;
    poll(&packets, 1, milliseconds > 60000 ? 60000 : (int)milliseconds);
    receive_packets();
    sys_check_timeouts();
}

/* --- the program ------------------------------------------------------------------------------------------------------------------------------------- */

/* A device goes on running; this program ends, and what it has written last would end with it. */
static void linger(void)
{
    const uint64_t deadline = net_now() + LINGER_MS;
    struct net_interest nothing;

    memset(&nothing, 0, sizeof nothing);
    for (int slot = 0; slot < NET_SLOTS; slot++)
        if (connections[slot].pcb != NULL)
            net_close(slot);
    while (tcp_active_pcbs != NULL && net_now() < deadline)
        net_wait(&nothing, 50);
}

static void start_network(const char *device, const char *address)
{
    struct ifreq request;
    ip4_addr_t ip, mask, gateway;
    uint8_t random[32];
    unsigned seed;

    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (strlen(device) >= sizeof request.ifr_name || !ip4addr_aton(address, &ip))
        die(EXIT_USAGE, "%s or %s is not understood; write TAP ADDRESS", device, address);
    strcpy(request.ifr_name, device);
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) != 0)
        die(EXIT_LOCAL, "cannot open the TAP device %s: make it by ip tuntap add dev %s mode tap", device, device);
    /* lwIP's ports come from rand. Its sequence numbers need LWIP_HOOK_TCP_ISN in a product. */
    if (state_random(random) != 0)
        die(EXIT_LOCAL, "the operating system gives no random bytes: check /dev/urandom");
    memcpy(&seed, random, sizeof seed);
    srand(seed);
    lwip_init();
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 0, 0, 0, 0);
    netif_add(&interface, &ip, &mask, &gateway, NULL, start_interface, ethernet_input);
    netif_set_default(&interface);
    netif_set_up(&interface);
    atexit(linger);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: recorder_lwip TAP ADDRESS COMMAND ...; recorder_lwip TAP ADDRESS --help says the commands\n", stderr);
        return EXIT_USAGE;
    }
    start_network(argv[1], argv[2]);
    argv[2] = argv[0];
    return run(argc - 2, argv + 2);
}
