// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Ours: the library's semaphore in the form of a subject, which is what the workloads are written
// for. A subject is made from an executor and a number of permits, and has acquire(token) and
// release(held...), where held is what the completion handed out, if anything.

#include <asio_semaphore/async_semaphore.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace bench {

namespace asio = boost::asio;
using boost::system::error_code;

template <typename Executor>
class plain_semaphore {
public:
    static constexpr const char* name = "async_semaphore";
    static constexpr bool gives_permits = false;

    plain_semaphore(const Executor& executor, std::ptrdiff_t permits) :
        semaphore_(executor, permits) {}

    template <typename Token>
    auto acquire(Token&& token) {
        return semaphore_.async_acquire(std::forward<Token>(token));
    }
    template <typename Token>
    auto acquire_for(std::chrono::nanoseconds patience, Token&& token) {
        return semaphore_.async_acquire_for(patience, std::forward<Token>(token));
    }
    void release() { semaphore_.release(); }
    void release_many(std::ptrdiff_t n) { semaphore_.release(n); }
    bool try_acquire() { return semaphore_.try_acquire(); }

private:
    asio_semaphore::basic_async_semaphore<Executor> semaphore_;
};

template <typename Executor>
class permit_semaphore {
public:
    static constexpr const char* name = "async_semaphore, permits";
    static constexpr bool gives_permits = true;

    permit_semaphore(const Executor& executor, std::ptrdiff_t permits) :
        semaphore_(executor, permits) {}

    template <typename Token>
    auto acquire(Token&& token) {
        return semaphore_.async_acquire_permit(std::forward<Token>(token));
    }
    template <typename Token>
    auto acquire_for(std::chrono::nanoseconds patience, Token&& token) {
        return semaphore_.async_acquire_permit_for(patience, std::forward<Token>(token));
    }
    void release(asio_semaphore::permit& held) { held.reset(); }
    void release_many(std::ptrdiff_t n) { semaphore_.release(n); }

private:
    asio_semaphore::basic_async_semaphore<Executor> semaphore_;
};

} // namespace bench
