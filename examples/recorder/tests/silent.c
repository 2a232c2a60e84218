/* A name server that doesn't answer, for one process (LD_PRELOAD): while the file SILENT is there, looking a name up doesn't end; the file ASKED says that somebody tries. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    const char *silent = getenv("SILENT"), *asked = getenv("ASKED");
    while (silent && access(silent, F_OK) == 0) {
        int file = asked ? open(asked, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
        if (file >= 0)
            close(file);
        usleep(10000);
    }
    return ((__typeof__(&getaddrinfo))dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, found);
}
