// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// with_permit: the context is destroyed while the wrapped operation waits for its permit, while it
// runs, or after its end.

#include <model/abandonment.hpp>

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/system_executor.hpp>
#endif
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif

#include <chrono>
#include <future>
#include <memory>
#include <tuple>
#include <utility>

using namespace abandonment;
using namespace std::chrono_literals;
using asio_semaphore::with_permit;

namespace {

using timer_pointer = std::shared_ptr<asio::steady_timer>;

/// The handler of a wrapped operation. It owns the timer.
struct handler {
    timer_pointer timer;
    witness carried;
    void operator()(error_code) {}
};

/// Starts waits on timers. Some timers have expired; the others do not expire during the test, and
/// only some of their waits are cancelled.
template <typename Start>
auto limited(Start start, slots which = slots::shared) {
    return [=](world& w) {
        for (int i = 0; i < 9; ++i) {
            const auto timer = std::make_shared<asio::steady_timer>(w.io(), i % 4 == 2 ? 1h : -1h);
            const auto slot = which == slots::own ? w.own_slot() : w.signals[i % 3]->slot();
            start(w, timer, 1 + i % 2, slot);
        }
    };
}

/// Tests with_permit around the token that to_token makes from a handler.
template <typename ToToken>
void check(const char* name, ToToken to_token) {
    stop_after_every_handler(
        name,
        limited([=](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot s) {
            timer->async_wait(with_permit(w.sem(), n, to_token(w, handler{timer, w.carried()}, s)));
        }));
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment_with_permit)

BOOST_AUTO_TEST_CASE(handlers) {
    check("callback", [](world&, handler h, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, std::move(h));
    });
    check("bind_executor", [](world& w, handler h, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, asio::bind_executor(*w.strand, std::move(h)));
    });
    check("bind_allocator", [](world&, handler h, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::bind_allocator(asio::recycling_allocator<void>(), std::move(h)));
    });
#if BOOST_VERSION >= 108200
    check("bind_immediate_executor", [](world&, handler h, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::bind_immediate_executor(asio::system_executor(), std::move(h)));
    });
    check("any_completion_handler", [](world&, handler h, asio::cancellation_slot s) {
        return asio::any_completion_handler<void(error_code)>(
            asio::bind_cancellation_slot(s, std::move(h)));
    });
#endif
}

BOOST_AUTO_TEST_CASE(operations_in_another_context) {
    // The operations outlive the semaphore's context.
    stop_after_every_handler(
        "the operation elsewhere",
        [](world& w) {
            for (int i = 0; i < 9; ++i) {
                const auto timer = std::make_shared<asio::steady_timer>(*w.other, -1h);
                timer->async_wait(with_permit(
                    w.sem(), 1 + i % 2,
                    asio::bind_cancellation_slot(
                        w.signals[i % 3]->slot(), handler{timer, w.carried()})));
            }
        },
        true);
}

BOOST_AUTO_TEST_CASE(adapted_handlers) {
    check("as_tuple", [](world&, handler h, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::as_tuple(
                   [h = std::move(h)](std::tuple<error_code> t) mutable { std::apply(h, t); }));
    });
    check("redirect_error", [](world&, handler h, asio::cancellation_slot s) {
        const auto ec = std::make_shared<error_code>();
        return asio::bind_cancellation_slot(
            s, asio::redirect_error([h = std::move(h), ec]() mutable { h(*ec); }, *ec));
    });
    check("detached", [](world&, handler h, asio::cancellation_slot) {
        return asio::consign(asio::detached, std::move(h));
    });
    stop_after_every_handler(
        "as_tuple around it",
        limited([](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot s) {
            timer->async_wait(asio::as_tuple(with_permit(
                w.sem(), n,
                asio::bind_cancellation_slot(
                    s, [h = handler{timer, w.carried()}](std::tuple<error_code>) {}))));
        }));
}

BOOST_AUTO_TEST_CASE(lazy_operations) {
    stop_after_every_handler(
        "deferred",
        limited([](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot s) {
            auto lazy = timer->async_wait(with_permit(w.sem(), n, asio::deferred));
            auto started = [](auto operation, auto... parts) {
                std::move(operation)(asio::bind_cancellation_slot(parts...));
            };
            if (n == 1)
                started(std::move(lazy), s, handler{timer, w.carried()});
            else // starts only if the program runs this handler
                asio::post(w.io(), [=, lazy = std::move(lazy), h = handler{timer, w.carried()}] {
                    started(lazy, asio::cancellation_slot(), h);
                });
        }));
}

BOOST_AUTO_TEST_CASE(futures) {
    stop_after_every_handler(
        "use_future",
        limited([](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot) {
            const auto future = std::make_shared<std::future<void>>(timer->async_wait(with_permit(
                w.sem(), n, asio::consign(asio::use_future, handler{timer, w.carried()}))));
            w.afterwards.push_back([future] {
                try {
                    future->get();
                } catch (const std::exception&) {
                    // cancelled, closed, or a broken promise
                }
            });
        }));
}

BOOST_AUTO_TEST_CASE(promises) {
    stop_after_every_handler(
        "use_promise",
        limited([](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot) {
            auto promise =
                timer->async_wait(with_permit(w.sem(), n, asio::experimental::use_promise));
            const auto kept = std::make_shared<decltype(promise)>(std::move(promise));
            w.until_the_end.push_back(kept); // a promise must not outlive its executor's context
            asio::post(w.io(), [p = kept.get(), h = handler{timer, w.carried()}]() mutable {
                (*p)(std::move(h));
            });
        }));
}

#if BOOST_VERSION >= 108600
BOOST_AUTO_TEST_CASE(operations_with_asios_own_deadline) {
    for (const auto wait : {0h, 1h}) {
        stop_after_every_handler(
            "cancel_after of waiting and running",
            limited(
                [=](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot s) {
                    timer->async_wait(with_permit(
                        w.sem(), n,
                        asio::cancel_after(
                            wait, asio::bind_cancellation_slot(s, handler{timer, w.carried()}))));
                },
                slots::own));
        stop_after_every_handler(
            "cancel_after of running",
            limited(
                [=](world& w, timer_pointer timer, std::ptrdiff_t n, asio::cancellation_slot s) {
                    timer->async_wait(asio::cancel_after(
                        wait, with_permit(
                                  w.sem(), n,
                                  asio::bind_cancellation_slot(s, handler{timer, w.carried()}))));
                },
                slots::own));
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
