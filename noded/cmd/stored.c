#include "noded/cmd/stored.h"

#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"

void nd_store_result(struct nd_call *c, struct slice key, struct nd_value v, int class, const char *event)
{
    size_t n = nd_value_length(&v);
    struct nd_entry *old = nd_lookup(c, key, ND_CHANGE);
    if (n == 0) {
        nd_value_free(&v);
        if (old != NULL) {
            nd_delete(c, c->db, old, c->e->config.lazyfree_lazy_server_del);
            nd_notify(c, ND_EV_GENERIC, "del", key);
            nd_changed(c, key, 1);
        }
    } else {
        if (old != NULL)
            nd_db_set_value(c->db, old, v, ND_NO_EXPIRE);
        else
            nd_add_key(c, key, v);
        nd_notify(c, class, event, key);
        nd_changed(c, key, 1);
    }
    reply_int(c->r, (int64_t)n);
}
