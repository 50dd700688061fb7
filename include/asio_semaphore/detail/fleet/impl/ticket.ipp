// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/ticket.hpp>

#if defined(__linux__)
#include <time.h>
#endif

namespace asio_semaphore::detail::fleet {

inline clock::time_point clock::now() noexcept {
#if defined(__linux__)
    timespec t;
    ::clock_gettime(CLOCK_BOOTTIME, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
#else
    return time_point(std::chrono::steady_clock::now().time_since_epoch());
#endif
}

inline ticket::ticket(purpose what, std::ptrdiff_t n) noexcept : count_(n), purpose_(what) {}

inline bool ticket::is_valid(time_point now) const noexcept {
    clock::rep until = deadline_.load();
    while (until != ended) {
        if (now.time_since_epoch().count() < until)
            return true;
        if (deadline_.compare_exchange_weak(until, ended))
            return false;
    }
    return false;
}

inline time_point ticket::deadline() const noexcept {
    return time_point(clock::duration(deadline_.load()));
}

} // namespace asio_semaphore::detail::fleet
