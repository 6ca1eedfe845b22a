/* INFO from a hostile server: any bytes, and what was read must lie within its ranges. */
#include "sentineld/core/info.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const char *id)
{
    assert(id[0] == '\0' || strlen(id) == RUNID_LEN);
}

static void check_addr(const struct addr *a)
{
    assert(strlen(a->host) <= ADDR_HOST_MAX);
    assert(addr_is_set(a) ? a->port >= 1 && a->port <= 65535 : a->port == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sn_info info;
    sn_info_init(&info);
    bool decided = sn_info_parse(&info, (struct slice){(const char *)data, size});
    assert(decided == (info.role != SN_ROLE_UNKNOWN));
    check_id(info.run_id);
    check_id(info.replid);
    check_id(info.replid2);
    check_addr(&info.master);
    assert(info.repl_offset >= -1 && info.master_link_down_ms >= -1 && info.keys >= 0);
    assert(info.nreplicas <= SN_INFO_REPLICAS_MAX);
    for (size_t i = 0; i < info.nreplicas; i++) {
        check_addr(&info.replicas[i].addr);
        assert(addr_is_set(&info.replicas[i].addr));
        assert(info.replicas[i].offset >= -1 && info.replicas[i].lag_s >= -1);
    }
    sn_info_free(&info);
    return 0;
}
