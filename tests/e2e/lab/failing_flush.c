/* To be loaded in front of the C library: fdatasync() fails while the file that FAILING_FLUSH names is there, and
 * fsync() of a folder while there is one of that name with ".folder" behind it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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

int fsync(int fd)
{
    struct stat st;
    char name[4096];
    snprintf(name, sizeof name, "%s.folder", getenv("FAILING_FLUSH"));
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && access(name, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}
