// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A completion handler that meets only the minimum requirements, in a namespace whose functions
// catch every unqualified call.

#include <support/handlers.hpp>

namespace hostile {

/// Can only be moved, and called as an rvalue. Any other use does not compile.
class handler {
public:
    explicit handler(support::result& to) noexcept : recorded_(to) {}
    handler(handler&& other) noexcept :
        recorded_(static_cast<support::recording&&>(other.recorded_)) {}
    handler(const handler&) = delete;
    handler& operator=(handler&&) = delete;
    handler& operator=(const handler&) = delete;
    ~handler() = default;

    void operator()(boost::system::error_code ec) && {
        static_cast<support::recording&&>(recorded_)(ec);
    }
    void operator()(boost::system::error_code ec, asio_semaphore::permit p) && {
        static_cast<support::recording&&>(recorded_)(ec, static_cast<asio_semaphore::permit&&>(p));
    }
    template <typename... Args>
    void operator()(Args&&...) & = delete;
    template <typename... Args>
    void operator()(Args&&...) const& = delete;

    void operator&() const = delete;

private:
    support::recording recorded_;
};

template <typename T>
void operator,(const handler&, T&&) = delete;
template <typename T>
void operator,(T&&, const handler&) = delete;

// Argument-dependent lookup would find these, if the library or Asio called them unqualified.
template <typename... T>
void move(T&&...) = delete;
template <typename... T>
void forward(T&&...) = delete;
template <typename... T>
void exchange(T&&...) = delete;
template <typename... T>
void addressof(T&&...) = delete;
template <typename... T>
void post(T&&...) = delete;
template <typename... T>
void dispatch(T&&...) = delete;
template <typename... T>
void defer(T&&...) = delete;
template <typename... T>
void get_associated_executor(T&&...) = delete;
template <typename... T>
void get_associated_allocator(T&&...) = delete;
template <typename... T>
void get_associated_cancellation_slot(T&&...) = delete;
template <typename... T>
void get_associated_immediate_executor(T&&...) = delete;
template <typename... T>
void post_to(T&&...) = delete;
template <typename... T>
void start_acquire(T&&...) = delete;
template <typename... T>
void start_waiting(T&&...) = delete;
template <typename... T>
void post_completion(T&&...) = delete;
template <typename... T>
void complete_elsewhere(T&&...) = delete;
template <typename... T>
void known_context_of(T&&...) = delete;
template <typename... T>
void complete_immediately(T&&...) = delete;
template <typename... T>
void complete_later(T&&...) = delete;
template <typename... T>
void call_handler(T&&...) = delete;
template <typename... T>
void common_io_context(T&&...) = delete;
template <typename... T>
void finish(T&&...) = delete;
template <typename... T>
void hand_back(T&&...) = delete;
template <typename... T>
void error_of(T&&...) = delete;

} // namespace hostile
