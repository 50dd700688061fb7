#pragma once

// A steady clock that stands still until a test moves it: for one translation unit of a program,
// since it replaces that of the standard library, for Asio's timers too. A wait of Asio's on the
// system's timer still takes its time.

#include <chrono>

namespace sequences {

inline std::chrono::steady_clock::time_point the_time{std::chrono::hours(1)};

} // namespace sequences

std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept {
    return sequences::the_time;
}
