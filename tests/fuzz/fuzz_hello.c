/* A hello from anybody who may publish: what is accepted is written back and read again as the same. */
#include "sentineld/core/hello.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sn_hello h, back;
    struct buf out = {0};
    if (!sn_hello_parse((struct slice){(const char *)data, size}, &h))
        return 0;
    assert(addr_is_set(&h.from) && addr_is_set(&h.master));
    assert(strlen(h.id) == RUNID_LEN);
    assert(h.group.n > 0);
    sn_hello_write(&out, &h);
    assert(out.n <= size); /* nothing is added: ids change their case at most */
    assert(sn_hello_parse(buf_slice(&out), &back));
    assert(addr_eq(&h.from, &back.from) && addr_eq(&h.master, &back.master));
    assert(strcmp(h.id, back.id) == 0 && slice_eq(h.group, back.group));
    assert(h.current_epoch == back.current_epoch && h.config_epoch == back.config_epoch);
    buf_free(&out);
    return 0;
}
