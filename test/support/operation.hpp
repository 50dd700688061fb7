#pragma once

// What the tests of the objects share: a context that is stepped by hand, and operations that
// remember what became of them.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <utility>

namespace support {

/// One asynchronous operation, seen through its handler, which is handed a Holding or nothing.
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

    /// The handler to start the operation with.
    handler on_completion() const { return handler(record_); }
    /// The same, cancelled through @p slot.
    auto on_completion(boost::asio::cancellation_slot slot) const {
        return boost::asio::bind_cancellation_slot(slot, on_completion());
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
    bool granted() const { return completed_with({}); }
    /// Granted, and handed what it asked for.
    bool admitted() const { return granted() && record_->held; }
    /// With an error, and handed nothing.
    bool failed(error_code ec) const { return completed_with(ec) && !record_->held; }
    error_code error() const { return record_->ec; }
    Holding& held() const { return record_->held; }

private:
    std::shared_ptr<record> record_ = std::make_shared<record>();
};

struct stepped_context {
    /// Runs what is ready, and says whether the context has any work left.
    bool poll() {
        context.restart();
        context.poll();
        return !context.stopped();
    }

    boost::asio::io_context context;
};

} // namespace support
