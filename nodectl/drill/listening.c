#include "nodectl/drill/listening.h"

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTENS 0x0a /* the state in /proc/net/tcp */

/* An address as 16 bytes; IPv4 ones are mapped. */
struct ip {
    unsigned char b[16];
};

static struct ip ip_of_4(const void *four)
{
    struct ip ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    memcpy(ip.b + 12, four, 4);
    return ip;
}

static bool ip_of(const struct sockaddr *a, struct ip *ip)
{
    if (a == NULL || (a->sa_family != AF_INET && a->sa_family != AF_INET6))
        return false;
    if (a->sa_family == AF_INET)
        *ip = ip_of_4(&((const struct sockaddr_in *)(const void *)a)->sin_addr);
    else
        memcpy(ip->b, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, sizeof ip->b);
    return true;
}

static bool is_loopback(const struct ip *ip)
{
    static const struct ip six = {{[15] = 1}};
    struct ip four = ip_of_4((const unsigned char[]){127, 0, 0, 1});
    return memcmp(ip->b, four.b, 13) == 0 || memcmp(ip, &six, sizeof six) == 0;
}

static bool resolve(const char *host, struct ip *ip)
{
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    bool ok = ip_of(found->ai_addr, ip);
    freeaddrinfo(found);
    return ok;
}

bool listening_is_our_address(const struct addr *a)
{
    struct ip wanted, have;
    struct ifaddrs *list;
    if (!resolve(a->host, &wanted))
        return false;
    if (is_loopback(&wanted))
        return true;
    if (getifaddrs(&list) != 0)
        return false;
    bool found = false;
    for (const struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next)
        found = ip_of(i->ifa_addr, &have) && memcmp(&have, &wanted, sizeof have) == 0;
    freeifaddrs(list);
    return found;
}

/* The kernel writes an address as words of eight hexadecimal digits in the host's order of bytes. */
static bool read_ip(const char *digits, struct ip *ip)
{
    unsigned words[4];
    size_t n = strlen(digits);
    if (n == 8 && sscanf(digits, "%8x", &words[0]) == 1) {
        *ip = ip_of_4(&words[0]);
        return true;
    }
    if (n != 32 || sscanf(digits, "%8x%8x%8x%8x", &words[0], &words[1], &words[2], &words[3]) != 4)
        return false;
    memcpy(ip->b, words, sizeof ip->b);
    return true;
}

static bool takes(const struct ip *listens, const struct ip *wanted)
{
    static const struct ip any_6;
    struct ip any_4 = ip_of_4((const unsigned char[]){0, 0, 0, 0});
    return memcmp(listens, wanted, sizeof *wanted) == 0 || memcmp(listens, &any_6, sizeof any_6) == 0 ||
           memcmp(listens, &any_4, sizeof any_4) == 0;
}

/* Appends "socket:[inode]" of each socket that takes connections to this address, a line each. */
static void read_table(const char *path, const struct ip *wanted, int port, struct buf *out)
{
    char line[512], digits[40];
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned at_port, state;
        unsigned long inode;
        struct ip ip;
        if (sscanf(line, " %*d: %39[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*s %*s %lu", digits, &at_port, &state,
                   &inode) == 4 &&
            state == TCP_LISTENS && (int)at_port == port && read_ip(digits, &ip) && takes(&ip, wanted))
            buf_printf(out, "socket:[%lu]\n", inode);
    }
    (void)fclose(f);
}

static bool has_socket(pid_t pid, struct slice sockets)
{
    char path[64], target[64], name[96];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    if (d == NULL)
        return false;
    for (const struct dirent *e = readdir(d); e != NULL && !found; e = readdir(d)) {
        snprintf(name, sizeof name, "%s/%.20s", path, e->d_name);
        ssize_t n = readlink(name, target, sizeof target);
        for (struct slice rest = sockets; n > 0 && rest.n > 0 && !found;)
            found = slice_eq(slice_cut(&rest, '\n'), (struct slice){target, (size_t)n});
    }
    (void)closedir(d);
    return found;
}

bool listening_is_of(pid_t pid, const struct addr *a)
{
    struct buf sockets = {0};
    struct ip wanted;
    if (!resolve(a->host, &wanted))
        return false;
    read_table("/proc/self/net/tcp", &wanted, a->port, &sockets);
    read_table("/proc/self/net/tcp6", &wanted, a->port, &sockets);
    bool found = has_socket(pid, buf_slice(&sockets));
    buf_free(&sockets);
    return found;
}
