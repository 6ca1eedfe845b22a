#include "sentineld/shell/config_inner.h"

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool config_group_name_ok(struct slice name, const char **why)
{
    if (name.n == 0 || name.n > CONFIG_NAME_MAX) {
        *why = "a name has 1 to 255 bytes";
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c <= ' ' || c == 0x7f || c == ',' || c == '"' || c == '\'') {
            *why = "a name must not hold white space, control bytes, commas or quotes: they would break the messages "
                   "between supervisors";
            return false;
        }
    }
    *why = NULL;
    return true;
}

const char *config_script_fault(const char *state_dir, const char *path)
{
    struct buf full = {0};
    struct stat st;
    const char *fault = NULL;
    if (*path != '/')
        buf_printf(&full, "%s/", state_dir);
    buf_puts(&full, path);
    if (stat(buf_str(&full), &st) != 0)
        fault = errno == ENOENT ? "does not exist" : strerror(errno);
    else if (!S_ISREG(st.st_mode))
        fault = "is not a file";
    else if (access(buf_str(&full), X_OK) != 0)
        fault = "is not executable by this user";
    buf_free(&full);
    return fault;
}

void config_check_hosts(struct conf_reader *r, const config_setting_t *at, const char *key, const struct addr *v,
                        size_t n)
{
    if (((const struct sentineld_config *)r->context)->resolve_hostnames)
        return;
    for (size_t i = 0; i < n; i++) {
        if (addr_is_set(&v[i]) && !addr_is_ip(v[i].host))
            conf_problem(r->problems, config_setting_get_member(at, key), NULL,
                         "\"%s\" is a name: expected an IP address, or resolve_hostnames = true at the top", v[i].host);
    }
}

void config_check_login(struct conf_reader *r, const config_setting_t *at, const char *user, const char *password)
{
    if (*user != '\0' && *password == '\0')
        conf_problem(r->problems, at, "password", "is missing: user '%s' cannot log in without one", user);
}

static bool is_any(const struct addr *a)
{
    return strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0;
}

static bool has_host(const struct ifaddrs *interfaces, const char *host)
{
    for (const struct ifaddrs *i = interfaces; i != NULL; i = i->ifa_next) {
        char text[NI_MAXHOST];
        if (i->ifa_addr == NULL || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        socklen_t n = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        if (getnameinfo(i->ifa_addr, n, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 && strcmp(text, host) == 0)
            return true;
    }
    return false;
}

/* One listen address stands for: itself with what is announced put over it, and, for "all addresses", any address of
 * this host. */
static bool stands_for(const struct sentineld_config *c, const struct addr *listen, const struct ifaddrs *interfaces,
                       const struct addr *who)
{
    struct addr own = *listen;
    if (c->announce.port != 0)
        own.port = (int)c->announce.port;
    if (c->announce.host[0] != '\0')
        addr_set(&own, slice_of(c->announce.host), own.port);
    if (addr_eq(&own, who) || addr_eq(listen, who))
        return true;
    return is_any(&own) && own.port == who->port && has_host(interfaces, who->host);
}

void config_find_self(struct conf_reader *r, const config_setting_t *root, struct sentineld_config *c)
{
    struct ifaddrs *interfaces = NULL;
    size_t found = 0;
    if (getifaddrs(&interfaces) != 0)
        interfaces = NULL;
    for (size_t i = 0; i < c->supervisors.n; i++) {
        bool own = false;
        for (size_t j = 0; j < c->listen.n && !own; j++)
            own = stands_for(c, &c->listen.v[j], interfaces, &c->supervisors.v[i]);
        if (own && found++ == 0)
            c->self = i;
    }
    freeifaddrs(interfaces);
    const config_setting_t *at = config_setting_get_member(root, "supervisors");
    char text[ADDR_TEXT_MAX];
    if (found == 0)
        conf_problem(
            r->problems, at, NULL,
            "this supervisor (%s) is not in the list: add it, the same list everywhere, or set announce to the "
            "address under which it is listed",
            addr_text(&c->listen.v[0], text));
    else if (found > 1)
        conf_problem(r->problems, at, NULL,
                     "%zu entries are this supervisor: it may be listed once, or a quorum would count it twice", found);
}
