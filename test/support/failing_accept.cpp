// Linked into a program, in place of the C library's: accept() as it is while the process, and then
// the system, has no file descriptor left. It works from the fourth call on.

#include <atomic>
#include <cerrno>

#include <sys/socket.h>

extern "C" int accept(int listener, sockaddr* address, socklen_t* length) {
    static std::atomic<int> calls{0};
    switch (calls.fetch_add(1)) {
    case 0:
    case 1:
        errno = EMFILE;
        return -1;
    case 2:
        errno = ENFILE;
        return -1;
    default:
        return ::accept4(listener, address, length, 0);
    }
}
