#include "common/base/mem.h"
#include "common/io/log.h"

#include <stdlib.h>

_Noreturn void mem_fail(size_t wanted)
{
    io_log(IO_WARNING,
           "Out of memory: %zu bytes were wanted and the system has none to give. The program stops now; what it had "
           "to remember is on disk, so start it again, with more memory or a higher limit.",
           wanted);
    abort();
}
