// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Replaces accept() of the C library in a program. The first three calls fail as if first the
// process and then the system had no file descriptor left. Later calls work.

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
