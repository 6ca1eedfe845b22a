/* The files of a new fleet's processes: configurations and units of systemd, as text. Pure. */
#ifndef NODECTL_LOCAL_CONF_TEXT_H
#define NODECTL_LOCAL_CONF_TEXT_H

#include "nodectl/local/layout.h"

bool conf_is_loopback(const char *host); /* nobody but this host reaches the address */

/* Passwords: "" for none. All of them append to out. */
void conf_text_node(struct buf *out, const struct layout *l, const struct layout_member *m, const char *node_password);
void conf_text_supervisor(struct buf *out, const struct layout *l, const struct layout_member *m, const char *password,
                          const char *node_password);
/* An entry of `clusters`, "{ ... }". */
struct conf_text_cluster {
    const char *name;
    const struct addr *seeds;
    size_t nseeds;
    int64_t down_after_ms;
    const char *user, *password; /* at the nodes; "" for none */
};
void conf_text_cluster_entry(struct buf *out, const struct conf_text_cluster *c);
/* The entry of `clusters` in a sentineld.conf, for supervisors that the operator configures; on lines of its own. */
void conf_text_cluster(struct buf *out, const char *name, const struct addr *seeds, size_t nseeds,
                       int64_t down_after_ms, const char *node_password);
/* The unit that starts it; for layout.runner, which is one of systemd's. */
void conf_text_unit(struct buf *out, const struct layout *l, const struct layout_member *m);

#endif
