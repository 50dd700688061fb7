// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Shared by the tests of with_permit: a handler for every signature, and an operation that the
// test completes by hand.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace support {

inline boost::system::error_code code_of(const boost::system::error_code& ec) {
    return ec;
}
inline boost::system::error_code code_of(const std::exception_ptr& e) {
    try {
        if (e)
            std::rethrow_exception(e);
    } catch (const boost::system::system_error& error) {
        return error.code();
    }
    return {};
}

/// How an operation under a limit ended.
struct ending {
    int calls = 0;
    int dropped = 0;
    boost::system::error_code ec;
    std::function<void()> at_call = [] {
    };

    bool pending() const { return calls == 0 && dropped == 0; }
    bool succeeded() const { return calls == 1 && dropped == 0 && !ec; }
    bool failed() const { return calls == 1 && dropped == 0 && ec; }
    bool failed(const boost::system::error_code& with) const { return failed() && ec == with; }
    bool was_dropped() const { return calls == 0 && dropped == 1; }
};

/// A handler that fills in an ending. It is move-only, can be called once, and accepts any
/// arguments after the error.
class ends {
public:
    explicit ends(ending& to) noexcept : to_(&to) {}
    ends(ends&& other) noexcept : to_(std::exchange(other.to_, nullptr)) {}
    ends& operator=(ends&&) = delete;
    ~ends() {
        if (to_ != nullptr)
            ++to_->dropped;
    }

    template <typename Error, typename... Rest>
    void operator()(const Error& error, Rest&&...) {
        ending& to = *std::exchange(to_, nullptr);
        ++to.calls;
        to.ec = code_of(error);
        to.at_call();
    }

private:
    ending* to_;
};

/// An operation with the signature void(error_code, int) that the test completes.
class manual_operation {
public:
    using signature = void(boost::system::error_code, int);

    explicit manual_operation(boost::asio::any_io_executor executor) :
        executor_(std::move(executor)) {}

    int started = 0;
    boost::asio::cancellation_type_t cancelled = boost::asio::cancellation_type::none;
    std::function<void()> at_start = [] {
    };

    bool running() const { return pending_ != nullptr; }

    template <typename Token>
    auto start(Token&& token) {
        return boost::asio::async_initiate<Token, signature>(initiate{this}, token);
    }

    /// Posts the handler to its executor.
    void complete(boost::system::error_code ec = {}, int value = 0) {
        boost::asio::post(
            executor_, [p = std::move(pending_), ec, value]() mutable { p->call(ec, value); });
    }
    void drop() { pending_.reset(); }

private:
    struct pending_base {
        virtual ~pending_base() = default;
        virtual void call(boost::system::error_code ec, int value) = 0;
    };
    template <typename Handler>
    struct pending final : pending_base {
        pending(Handler&& h, boost::asio::any_io_executor default_executor) :
            handler(std::move(h)), executor(std::move(default_executor)) {}

        void call(boost::system::error_code ec, int value) override {
            const auto own = boost::asio::get_associated_executor(handler, executor);
            boost::asio::dispatch(own, [h = std::move(handler), ec, value]() mutable {
                static_cast<Handler&&>(h)(ec, value);
            });
        }

        Handler handler;
        boost::asio::any_io_executor executor;
    };

    struct initiate {
        using executor_type = boost::asio::any_io_executor;

        executor_type get_executor() const noexcept { return self->executor_; }

        template <typename Handler>
        void operator()(Handler&& handler) const {
            ++self->started;
            self->at_start();
            auto slot = boost::asio::get_associated_cancellation_slot(handler);
            if (slot.is_connected())
                slot.assign([s = self](boost::asio::cancellation_type_t type) {
                    s->cancelled = type;
                    if (s->running())
                        s->complete(boost::asio::error::operation_aborted);
                });
            self->pending_ = std::make_unique<pending<std::decay_t<Handler>>>(
                std::forward<Handler>(handler), self->executor_);
        }

        manual_operation* self;
    };

    boost::asio::any_io_executor executor_;
    std::unique_ptr<pending_base> pending_;
};

} // namespace support
