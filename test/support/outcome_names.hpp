// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The names of the state layer's outcomes. The switch has no default, so the compiler warns about a
// missing outcome.

#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <ostream>

namespace asio_semaphore::detail {

inline const char* to_string(outcome o) {
    // clang-format off
    switch (o) {
    case outcome::granted: return "granted";
    case outcome::queued: return "queued";
    case outcome::unalarmed: return "unalarmed";
    case outcome::unrecorded: return "unrecorded";
    case outcome::invalid_argument: return "invalid_argument";
    case outcome::exceeds_max: return "exceeds_max";
    case outcome::closed: return "closed";
    case outcome::aborted: return "aborted";
    case outcome::timed_out: return "timed_out";
    case outcome::queue_full: return "queue_full";
    case outcome::shed: return "shed";
    case outcome::lost: return "lost";
    case outcome::limit_mismatch: return "limit_mismatch";
    case outcome::unreachable: return "unreachable";
    case outcome::rejected: return "rejected";
    case outcome::clustered: return "clustered";
    case outcome::incompatible: return "incompatible";
    case outcome::abandoned: return "abandoned";
    }
    // clang-format on
    return "not an outcome";
}

inline std::ostream& operator<<(std::ostream& out, outcome o) {
    return out << to_string(o);
}

} // namespace asio_semaphore::detail
