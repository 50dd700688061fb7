// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Completion handlers that record how they ended.

#include <asio_semaphore/permit.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace support {

/// The result of one operation.
struct result {
    int calls = 0;
    int dropped = 0; ///< handlers that were destroyed without having been called
    boost::system::error_code ec;
    asio_semaphore::permit held;

    bool pending() const { return calls == 0 && dropped == 0; }
    bool succeeded() const { return calls == 1 && dropped == 0 && !ec; }
    bool failed(const boost::system::error_code& with) const {
        return calls == 1 && dropped == 0 && ec == with && !held;
    }
    bool was_dropped() const { return calls == 0 && dropped == 1; }
};

/// A handler for both signatures that fills in a result. It is move-only, but can be called as an
/// lvalue, because the binders of older Boost versions do that.
class recording {
public:
    explicit recording(result& to) noexcept : to_(&to) {}
    recording(recording&& other) noexcept : to_(std::exchange(other.to_, nullptr)) {}
    recording& operator=(recording&&) = delete;
    ~recording() {
        if (to_ != nullptr)
            ++to_->dropped;
    }

    void operator()(boost::system::error_code ec) {
        result& to = *std::exchange(to_, nullptr);
        ++to.calls;
        to.ec = ec;
    }
    void operator()(boost::system::error_code ec, asio_semaphore::permit p) {
        to_->held = std::move(p);
        std::move (*this)(ec);
    }

private:
    result* to_;
};

/// Runs an action once, when the handler that owns it is destroyed, whether or not the handler was
/// called or moved.
template <typename Action>
class at_exit {
public:
    explicit at_exit(Action action) : action_(std::move(action)) {}
    at_exit(at_exit&& other) noexcept :
        action_(std::move(other.action_)), armed_(std::exchange(other.armed_, false)) {}
    at_exit& operator=(at_exit&&) = delete;
    ~at_exit() {
        if (armed_)
            action_();
    }

private:
    Action action_;
    bool armed_ = true;
};

struct move_failure : std::runtime_error {
    move_failure() : std::runtime_error("the handler's move") {}
};

/// A handler whose moves start to throw on demand.
template <typename Recording>
class basic_fragile {
public:
    /// @param moves_left how many moves still succeed; negative: all
    template <typename Result>
    basic_fragile(Result& to, int& moves_left) : recorded_(to), moves_left_(&moves_left) {}
    basic_fragile(basic_fragile&& other) :
        recorded_((other.spend(), std::move(other.recorded_))), moves_left_(other.moves_left_) {}
    basic_fragile& operator=(basic_fragile&&) = delete;

    template <typename... Args>
    void operator()(Args&&... args) {
        recorded_(std::forward<Args>(args)...);
    }

private:
    void spend() {
        if (*moves_left_ == 0)
            throw move_failure();
        if (*moves_left_ > 0)
            --*moves_left_;
    }

    Recording recorded_;
    int* moves_left_;
};

using fragile = basic_fragile<recording>;

/// An object for handlers to carry. Counts its instances, and may own another object.
class witness {
public:
    inline static int alive = 0;

    explicit witness(std::shared_ptr<void> object) noexcept : object_(std::move(object)) {
        ++alive;
    }
    witness(const witness& other) noexcept : object_(other.object_) { ++alive; }
    witness(witness&& other) noexcept : object_(std::move(other.object_)) { ++alive; }
    witness& operator=(const witness&) = delete;
    ~witness() { --alive; }

private:
    std::shared_ptr<void> object_;
};

/// Runs the ready handlers, even if the context was stopped because it ran out of work.
inline std::size_t poll(boost::asio::io_context& context) {
    context.restart();
    const std::size_t ran = context.poll();
    context.restart();
    return ran;
}

/// Runs a context on several threads until it has no work left.
inline void run_on_threads(boost::asio::io_context& context, int count) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i)
        threads.emplace_back([&context] { context.run(); });
    for (auto& thread : threads)
        thread.join();
}

} // namespace support
