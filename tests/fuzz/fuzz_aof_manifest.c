/* The manifest of an append-only file: no text makes it look outside, and what it takes is written and taken again. */
#include "noded/repl/aof_manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nd_aof_manifest m, again;
    struct buf why = {0}, text = {0}, twice = {0};
    char *exact = malloc(size > 0 ? size : 1);
    if (size > 0)
        memcpy(exact, data, size);
    if (nd_aof_manifest_parse(&m, (struct slice){exact, size}, &why)) {
        for (size_t i = 0; i < m.n; i++) {
            if (strchr(m.files[i].name, '/') != NULL || m.files[i].seq <= 0)
                abort();
        }
        nd_aof_manifest_write(&m, &text);
        /* A line may grow past its bound when bytes of a name become escapes. */
        if (m.n > 0 && text.n < 1000) {
            if (!nd_aof_manifest_parse(&again, buf_slice(&text), &why))
                abort();
            nd_aof_manifest_write(&again, &twice);
            if (!slice_eq(buf_slice(&text), buf_slice(&twice)))
                abort();
            nd_aof_manifest_free(&again);
        }
    } else if (why.n == 0 || m.n > 0) {
        abort();
    }
    nd_aof_manifest_free(&m);
    free(exact);
    buf_free(&why);
    buf_free(&text);
    buf_free(&twice);
    return 0;
}
