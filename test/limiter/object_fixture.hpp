#pragma once

// What the tests of the limiter as an I/O object share: a context that is stepped by hand, and
// operations that remember what became of them.

#include <asio_semaphore/limiter/limiter.hpp>

#include <support/handlers.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace test {

namespace asio = boost::asio;

using asio_semaphore::admission;
using asio_semaphore::admission_request;
using asio_semaphore::basic_limiter;
using asio_semaphore::limiter;
using asio_semaphore::limiter_options;
using asio_semaphore::limiter_statistics;
using boost::system::error_code;
using ended = asio_semaphore::outcome;
using namespace std::chrono_literals;

inline const error_code success;
inline const error_code aborted = asio::error::operation_aborted;
inline const error_code timed_out = asio::error::timed_out;
inline const error_code invalid_argument = asio::error::invalid_argument;
inline const error_code closed = asio_semaphore::error::closed;
inline const error_code exceeds_max = asio_semaphore::error::exceeds_max;
inline const error_code queue_full = asio_semaphore::error::queue_full;
inline const error_code shed = asio_semaphore::error::shed;

/// One asynchronous operation, seen through its handler.
class operation {
    struct record {
        int calls = 0;
        error_code ec;
        admission held;
    };

public:
    class handler {
    public:
        explicit handler(std::shared_ptr<record> to) : to_(std::move(to)) {}
        handler(handler&&) = default;
        handler& operator=(handler&&) = delete;

        void operator()(error_code ec) { (*this)(ec, admission()); }
        void operator()(error_code ec, admission held) {
            ++to_->calls;
            to_->ec = ec;
            to_->held = std::move(held);
        }

    private:
        std::shared_ptr<record> to_;
    };

    operation() = default;

    /// The handler to start the operation with.
    handler on_completion() const { return handler(record_); }
    /// The same, cancelled through @p slot.
    auto on_completion(asio::cancellation_slot slot) const {
        return asio::bind_cancellation_slot(slot, on_completion());
    }

    bool called() const { return record_->calls > 0; }
    int calls() const { return record_->calls; }
    /// Its handler exists and has not been called.
    bool pending() const { return !called() && record_.use_count() > 1; }
    /// Its handler has been destroyed without being called.
    bool abandoned() const { return !called() && record_.use_count() == 1; }
    /// Called once, and no handler is left that could be called again.
    bool completed() const { return calls() == 1 && record_.use_count() == 1; }
    bool completed_with(error_code ec) const { return completed() && record_->ec == ec; }
    /// With a place.
    bool admitted() const { return completed_with(success) && record_->held; }
    /// With an error, and without a place.
    bool failed(error_code ec) const { return completed_with(ec) && !record_->held; }
    error_code error() const { return record_->ec; }
    admission& held() const { return record_->held; }

private:
    std::shared_ptr<record> record_ = std::make_shared<record>();
};

inline admission_request weighing(std::ptrdiff_t weight) {
    admission_request r;
    r.weight = weight;
    return r;
}
inline admission_request of_key(std::uint64_t key) {
    admission_request r;
    r.key = key;
    return r;
}
inline admission_request of_priority(int priority) {
    admission_request r;
    r.priority = priority;
    return r;
}
inline admission_request waiting_for(std::chrono::steady_clock::duration most) {
    admission_request r;
    r.max_wait = most;
    return r;
}

/// Options with which time plays no part.
inline limiter_options patient(std::size_t max_waiting = 100) {
    limiter_options o;
    o.max_waiting = max_waiting;
    o.max_wait = limiter_options::duration::max();
    return o;
}

/// Returns once the clock shows another time than at the call: what ends then took some time.
inline void let_time_pass(std::chrono::steady_clock::duration at_least = {}) {
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() <= start + at_least) {
    }
}

/// What the statistics promise of themselves.
inline void check_sums(const limiter_statistics& s) {
    std::uint64_t admitted = 0;
    for (const auto& by : s.priorities)
        admitted += by.admitted;
    BOOST_TEST(admitted == s.succeeded + s.overloaded + s.ignored + s.running);
    BOOST_TEST(s.unreported <= s.ignored);
}

struct fixture {
    /// Runs what is ready, and says whether the context has any work left.
    bool poll() {
        context.restart();
        context.poll();
        return !context.stopped();
    }

    asio::io_context context;
};

} // namespace test
