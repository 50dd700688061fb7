// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A steady clock that only the test moves. It replaces the steady clock of the standard library, so
// include this in only one translation unit of a program. Asio's timers use the replaced clock too,
// but a wait of Asio on a timer of the operating system still takes real time.

#include <chrono>

namespace sequences {

inline std::chrono::steady_clock::time_point the_time{std::chrono::hours(1)};

} // namespace sequences

std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept {
    return sequences::the_time;
}
