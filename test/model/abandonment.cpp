// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/abandonment.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/prepend.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/system_executor.hpp>
#endif
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif

#include <chrono>
#include <future>
#include <tuple>

using namespace abandonment;
using namespace std::chrono_literals;

namespace {

template <typename ToToken>
void check(
    const std::string& name, ToToken to_token, slots which = slots::shared,
    results r = results::arrive) {
    stop_after_every_handler(name, all_operations(to_token, which, r));
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment)

BOOST_AUTO_TEST_CASE(handlers) {
    check("callback", [](world&, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, std::move(f));
    });
}

BOOST_AUTO_TEST_CASE(handlers_in_a_strand) {
    check("bind_executor", [](world& w, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, asio::bind_executor(*w.strand, std::move(f)));
    });
}

BOOST_AUTO_TEST_CASE(handlers_with_an_allocator) {
    check("bind_allocator", [](world&, finisher f, asio::cancellation_slot s) {
        return asio::bind_allocator(
            asio::recycling_allocator<void>(), asio::bind_cancellation_slot(s, std::move(f)));
    });
}

#if BOOST_VERSION >= 108200
BOOST_AUTO_TEST_CASE(handlers_with_an_immediate_executor) {
    check("bind_immediate_executor", [](world&, finisher f, asio::cancellation_slot s) {
        return asio::bind_immediate_executor(
            asio::system_executor(), asio::bind_cancellation_slot(s, std::move(f)));
    });
}

BOOST_AUTO_TEST_CASE(erased_handlers) {
    check("any_completion_handler", [](world&, finisher f, asio::cancellation_slot s) {
        // One type with an erased handler for each of the two signatures.
        struct both {
            asio::any_completion_handler<void(error_code, permit)> owned;
            asio::any_completion_handler<void(error_code)> bare;
            void operator()(error_code ec) { std::move(bare)(ec); }
            void operator()(error_code ec, permit p) { std::move(owned)(ec, std::move(p)); }
        };
        return asio::bind_cancellation_slot(s, both{f, f});
    });
}
#endif

BOOST_AUTO_TEST_CASE(adapted_handlers) {
    check("as_tuple", [](world&, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::as_tuple([f](auto t) mutable { std::apply(f, std::move(t)); }));
    });
    check("append, prepend, consign", [](world&, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::consign(
                   asio::append(
                       asio::prepend(
                           [f](witness, auto... rest) mutable {
                               auto t = std::tuple<decltype(rest)...>(std::move(rest)...);
                               constexpr std::size_t last = sizeof...(rest) - 1;
                               [&]<std::size_t... i>(std::index_sequence<i...>) {
                                   f(std::move(std::get<i>(t))...);
                               }
                               (std::make_index_sequence<last>());
                           },
                           witness(nullptr)),
                       witness(nullptr)),
                   witness(nullptr)));
    });
}

BOOST_AUTO_TEST_CASE(redirected_errors) {
    check("redirect_error", [](world&, finisher f, asio::cancellation_slot s) {
        struct last {
            finisher finish;
            std::shared_ptr<error_code> ec;
            void operator()() { finish(*ec); }
            void operator()(permit p) { finish(*ec, std::move(p)); }
        };
        const auto ec = std::make_shared<error_code>();
        return asio::bind_cancellation_slot(s, asio::redirect_error(last{std::move(f), ec}, *ec));
    });
}

BOOST_AUTO_TEST_CASE(detached_operations) {
    stop_after_every_handler("detached", [](world& w) {
        for (int i = 0; i < 5; ++i) {
            w.sem().async_acquire_permit(asio::detached);
            w.sem().async_acquire_permit(2, asio::detached);
            w.sem().async_acquire_permit_for(1h, asio::detached);
        }
    });
}

BOOST_AUTO_TEST_CASE(lazy_operations) {
    stop_after_every_handler("deferred", [](world& w) {
        for (int i = 0; i < 3; ++i) {
            auto bare = w.sem().async_acquire(2, asio::deferred);
            auto owned = w.sem().async_acquire_permit_for(1h, asio::deferred);
            bare(finisher(w, 2));
            std::move(owned)(finisher(w, 1));
            // Starts only if the program runs this handler.
            asio::post(w.io(), [f = finisher(w, 2), later = std::move(bare)]() mutable {
                std::move(later)(std::move(f));
            });
        }
    });
    stop_after_every_handler("deferred, chained", [](world& w) {
        for (int i = 0; i < 3; ++i) {
            auto chain = w.sem().async_acquire_permit(2, asio::deferred([&w](error_code, permit p) {
                                                          w.has(std::move(p));
                                                          return asio::deferred.values(
                                                              error_code(), permit());
                                                      }));
            std::move(chain)([c = w.carried()](error_code, permit) {});
        }
    });
}

BOOST_AUTO_TEST_CASE(futures) {
    stop_after_every_handler("use_future", [](world& w) {
        const auto keep = [&w](std::future<permit> f) {
            w.afterwards.push_back(
                [f = std::make_shared<std::future<permit>>(std::move(f))]() mutable {
                    try {
                        permit p = f->get();
                    } catch (const std::exception&) {
                        // cancelled, closed, or a broken promise
                    }
                });
        };
        for (int i = 0; i < 5; ++i) {
            keep(w.sem().async_acquire_permit(asio::use_future));
            keep(w.sem().async_acquire_permit_for(1h, 2, asio::use_future));
            auto bare =
                std::make_shared<std::future<void>>(w.sem().async_acquire(asio::use_future));
            w.afterwards.push_back([&w, bare] {
                try {
                    bare->get();
                    w.by_hand += 1;
                } catch (const std::exception&) {
                }
            });
        }
    });
}

#if BOOST_VERSION >= 108600
BOOST_AUTO_TEST_CASE(operations_with_asios_own_deadline) {
    // If the result arrives while the timer is being cancelled, it waits for the end of the timer,
    // and is destroyed with the context.
    check(
        "cancel_after",
        [](world&, finisher f, asio::cancellation_slot s) {
            return asio::cancel_after(1h, asio::bind_cancellation_slot(s, std::move(f)));
        },
        slots::own, results::may_be_lost);
    check(
        "cancel_after, over at once",
        [](world&, finisher f, asio::cancellation_slot s) {
            return asio::cancel_after(0h, asio::bind_cancellation_slot(s, std::move(f)));
        },
        slots::own, results::may_be_lost);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
