/* The timers of the core, one row each: the name of SENTINEL DEBUG, the field, the default in milliseconds. Rows marked
 * `kept` have no meaning here (they belong to loops that stock has and this core does not); they are stored and shown.
 */
#ifndef CORE_PARAMS_H
#define CORE_PARAMS_H

#include "common/base/bytes.h"

/*        name                         field                         default  smallest */
#define SN_PARAMS(X)                                                                                             \
    X("info-period", info_period_ms, 10000, 1)               /* INFO to a node in quiet times */                 \
    X("ping-period", ping_period_ms, 1000, 1)                /* at most this; at least 4 in down-after */        \
    X("ask-period", ask_period_ms, 1000, 1)                  /* repeat of the question to peers */               \
    X("publish-period", publish_period_ms, 2000, 1)          /* hello */                                         \
    X("default-down-after", default_down_after_ms, 30000, 1) /* of groups monitored at run time */               \
    X("default-failover-timeout", default_failover_timeout_ms, 60000, 1)                                         \
    X("tilt-trigger", tilt_trigger_ms, 2000, 1) /* a stall this long is announced */                             \
    X("tilt-period", tilt_period_ms, 30000, 1)  /* kept */                                                       \
    X("slave-reconf-timeout", slave_reconf_timeout_ms, 10000, 1)                                                 \
    X("min-link-reconnect-period", min_link_reconnect_period_ms, 15000, 1) /* between breaks of a silent link */ \
    X("election-timeout", election_timeout_ms, 10000, 1)                                                         \
    X("script-max-runtime", script_max_runtime_ms, 60000, 1) /* shell */                                         \
    X("script-retry-delay", script_retry_delay_ms, 30000, 1) /* shell */

struct sn_params {
#define X(name, field, value, min) int64_t field;
    SN_PARAMS(X)
#undef X
};

void sn_params_default(struct sn_params *p);
/* The field of that name (any case), or NULL. */
int64_t *sn_params_find(struct sn_params *p, struct slice name);

#endif
