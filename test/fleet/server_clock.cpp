// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Preloaded into a server, it makes the server's wall clock go as server_clock.hpp says.
// (libfaketime 0.9.10 does not get on with jemalloc, which Debian's server is linked to.) Allocates
// nothing: it is called while the allocator starts. The monotonic clock stays as it is.

#include "fleet/server_clock.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

constexpr std::int64_t second = 1'000'000'000;

std::int64_t real_time(::clockid_t id, int& result) {
    ::timespec now{};
    result = static_cast<int>(::syscall(SYS_clock_gettime, id, &now));
    return now.tv_sec * second + now.tv_nsec;
}

const test::server_clock_settings* settings() {
    static const test::server_clock_settings* const mapped = []() {
        const char* const name = ::getenv("ASIO_SEMAPHORE_SERVER_CLOCK_FILE");
        const int fd = name != nullptr ? ::open(name, O_RDONLY | O_CLOEXEC) : -1;
        if (fd == -1)
            return static_cast<const test::server_clock_settings*>(nullptr);
        void* const at =
            ::mmap(nullptr, sizeof(test::server_clock_settings), PROT_READ, MAP_SHARED, fd, 0);
        ::close(fd);
        return at == MAP_FAILED ? nullptr : static_cast<const test::server_clock_settings*>(at);
    }();
    return mapped;
}

std::int64_t shown_time(int& result) {
    const std::int64_t real = real_time(CLOCK_REALTIME, result);
    const auto* const s = settings();
    return s != nullptr ? test::shown_by(*s, real) : real;
}

} // namespace

extern "C" {

int clock_gettime(::clockid_t id, ::timespec* out) noexcept {
    int result = 0;
    const bool is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    const std::int64_t now = is_wall ? shown_time(result) : real_time(id, result);
    out->tv_sec = now / second;
    out->tv_nsec = now % second;
    return result;
}

int gettimeofday(::timeval* out, void*) noexcept {
    int result = 0;
    const std::int64_t now = shown_time(result);
    out->tv_sec = now / second;
    out->tv_usec = now % second / 1000;
    return result;
}

::time_t time(::time_t* out) noexcept {
    int result = 0;
    const auto now = static_cast<::time_t>(shown_time(result) / second);
    if (out != nullptr)
        *out = now;
    return now;
}

} // extern "C"
