// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Shared by the tests of the I/O objects: a context that a test runs step by step, and operations
// that record how they ended.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <utility>

namespace support {

/// One asynchronous operation, observed through its handler, which gets a Holding or nothing.
template <typename Holding>
class operation {
    using error_code = boost::system::error_code;

    struct record {
        int calls = 0;
        error_code ec;
        Holding held;
    };

public:
    class handler {
    public:
        explicit handler(std::shared_ptr<record> to) : to_(std::move(to)) {}
        handler(handler&&) = default;
        handler& operator=(handler&&) = delete;

        void operator()(error_code ec) { (*this)(ec, Holding()); }
        void operator()(error_code ec, Holding held) {
            ++to_->calls;
            to_->ec = ec;
            to_->held = std::move(held);
        }

    private:
        std::shared_ptr<record> to_;
    };

    operation() = default;

    /// The handler for the initiating function.
    handler on_completion() const { return handler(record_); }
    /// The same, with the cancellation slot @p slot.
    auto on_completion(boost::asio::cancellation_slot slot) const {
        return boost::asio::bind_cancellation_slot(slot, on_completion());
    }

    bool called() const { return record_->calls > 0; }
    int calls() const { return record_->calls; }
    /// The handler exists and has not been called.
    bool pending() const { return !called() && record_.use_count() > 1; }
    /// The handler has been destroyed without being called.
    bool abandoned() const { return !called() && record_.use_count() == 1; }
    /// The handler has been called once, and no copy is left that could be called again.
    bool completed() const { return calls() == 1 && record_.use_count() == 1; }
    bool completed_with(error_code ec) const { return completed() && record_->ec == ec; }
    bool granted() const { return completed_with({}); }
    /// Granted, and the handler got what the operation asked for.
    bool admitted() const { return granted() && record_->held; }
    /// Completed with an error, and the handler got nothing.
    bool failed(error_code ec) const { return completed_with(ec) && !record_->held; }
    error_code error() const { return record_->ec; }
    Holding& held() const { return record_->held; }

private:
    std::shared_ptr<record> record_ = std::make_shared<record>();
};

struct stepped_context {
    /// Runs the ready handlers, and returns whether the context has work left.
    bool poll() {
        context.restart();
        context.poll();
        return !context.stopped();
    }

    boost::asio::io_context context;
};

} // namespace support
