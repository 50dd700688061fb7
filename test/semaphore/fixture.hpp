#pragma once

// What the semaphore's tests share: an io_context that is stepped by hand, and operations that
// remember what became of them.

#include <asio_semaphore/async_semaphore.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <utility>

namespace test {

namespace asio = boost::asio;

using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

inline const error_code success;
inline const error_code aborted = asio::error::operation_aborted;
inline const error_code timed_out = asio::error::timed_out;
inline const error_code invalid_argument = asio::error::invalid_argument;
inline const error_code closed = asio_semaphore::error::closed;
inline const error_code exceeds_max = asio_semaphore::error::exceeds_max;
inline const error_code over_release = asio_semaphore::error::over_release;

/// One asynchronous operation, seen through its handler.
class operation {
    struct record {
        int calls = 0;
        error_code ec;
        permit held;
    };

public:
    class handler {
    public:
        explicit handler(std::shared_ptr<record> to) : to_(std::move(to)) {}
        handler(handler&&) = default;
        handler& operator=(handler&&) = delete;

        void operator()(error_code ec) { (*this)(ec, permit()); }
        void operator()(error_code ec, permit held) {
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
    bool granted() const { return completed_with(success); }
    error_code error() const { return record_->ec; }
    permit& held() const { return record_->held; }

private:
    std::shared_ptr<record> record_ = std::make_shared<record>();
};

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
