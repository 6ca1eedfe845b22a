#include "nodectl/slots/known.h"

#include "common/base/mem.h"

#include <stdlib.h>

#define LOST (SN_NODES_FAIL | SN_NODES_PFAIL)

bool known_by(const struct picture_node *by, const struct picture_node *of)
{
    if (!by->answers || by == of)
        return true;
    const struct sn_nodes_line *l = sn_nodes_find(&by->view, of->id);
    if (l == NULL || (l->flags & SN_NODES_NOADDR) != 0)
        return false;
    return !of->answers || (l->flags & LOST) == 0 || l->addr.port == of->addr.port;
}

size_t known_lacking(const struct picture *p, const struct picture_node *of, struct buf *who)
{
    size_t lack = 0;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < p->n; i++) {
        if (known_by(&p->v[i], of))
            continue;
        if (who != NULL)
            buf_printf(who, "%s%s", lack > 0 ? ", " : "", addr_text(&p->v[i].addr, text));
        lack++;
    }
    return lack;
}

bool known_address(const struct picture *p, const struct picture_node *n, struct addr *addr, uint16_t *bus_port)
{
    *addr = n->addr;
    *bus_port = n->answers ? n->view.lines[n->view.self].bus_port : 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct sn_nodes_line *l = p->v[i].answers && &p->v[i] != n ? sn_nodes_find(&p->v[i].view, n->id) : NULL;
        if (l == NULL || !l->connected || (l->flags & (LOST | SN_NODES_NOADDR)) != 0 || l->addr.host[0] == '\0')
            continue;
        *addr = l->addr;
        *bus_port = l->bus_port;
        break;
    }
    return addr->host[0] != '\0' && addr->port != 0;
}

static bool lists(const struct picture_node *by, const struct picture_node *of)
{
    return by->answers && sn_nodes_find(&by->view, of->id) != NULL;
}

const struct picture_node *known_stranger(const struct picture *p)
{
    bool *reached = mem_zalloc(p->n + 1);
    size_t *next = mem_array(NULL, p->n + 1, sizeof *next), n = 0;
    const struct picture_node *stranger = NULL;
    if (p->n > 0) {
        reached[0] = true;
        next[n++] = 0;
    }
    while (n > 0) {
        size_t at = next[--n];
        for (size_t i = 0; i < p->n; i++) {
            if (reached[i] || (!lists(&p->v[at], &p->v[i]) && !lists(&p->v[i], &p->v[at])))
                continue;
            reached[i] = true;
            next[n++] = i;
        }
    }
    for (size_t i = 0; i < p->n && stranger == NULL; i++)
        stranger = reached[i] ? NULL : &p->v[i];
    free(reached);
    free(next);
    return stranger;
}

int known_one_cluster(const struct command_call *call, const struct picture *p)
{
    char text[2][ADDR_TEXT_MAX];
    const struct picture_node *stranger = known_stranger(p);
    if (stranger == NULL)
        return EXIT_OK;
    return command_fail(call, EXIT_USAGE,
                        "%s and %s know nothing of each other: they are of two clusters. Name nodes of one",
                        addr_text(&p->v[0].addr, text[0]), addr_text(&stranger->addr, text[1]));
}
