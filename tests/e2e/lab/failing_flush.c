/* To be loaded in front of the C library: fdatasync() fails while the file that FAILING_FLUSH names is there. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fildes)
{
    const char *name = getenv("FAILING_FLUSH");
    if (name != NULL && access(name, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fildes);
}
