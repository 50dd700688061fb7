#pragma once

// Small programs in which something fails, at every place where it can. However it goes, everybody
// ends once, no permit is lost or made up, and no context is left with work that nobody does.

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <model/faults.hpp>
#include <stress/options.hpp>
#include <support/last_words.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace faults {

using namespace std::chrono_literals;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;

/// Handler and semaphore on one io_context, both type-erased.
struct one_context {
    static constexpr const char* name = "one io_context";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return context.get_executor(); }
    /// Where an operation under a limit has its I/O object.
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static H place(asio::io_context&, asio::io_context&, H&& h) {
        return std::forward<H>(h);
    }
    static constexpr kinds never_asked() noexcept { return kinds::of(kind::execute, kind::drop); }
    static constexpr kinds fail_together() noexcept { return kinds::all(); }
};

/// An executor of one's own for both.
struct own_executor {
    static constexpr const char* name = "an executor of one's own";
    using executor_type = faults::executor;
    static executor_type executor(asio::io_context& context) { return executor_type(context); }
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static H place(asio::io_context&, asio::io_context&, H&& h) {
        return std::forward<H>(h);
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    static constexpr kinds fail_together() noexcept { return kinds::all(); }
};

/// The handler runs elsewhere.
struct two_contexts {
    static constexpr const char* name = "two contexts";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return faults::executor(context); }
    /// Elsewhere too, since it may have to outlive the semaphore's.
    static executor_type operation_executor(asio::io_context&, asio::io_context& other) {
        return executor(other);
    }
    template <typename H>
    static auto place(asio::io_context&, asio::io_context& other, H&& h) {
        return asio::bind_executor(faults::executor(other), std::forward<H>(h));
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    /// any_io_executor moves what it could not submit, in a destructor: a second failure there is
    /// its end, whosever function it is.
    static constexpr kinds fail_together() noexcept {
        return kinds::all().without(kind::move_handler);
    }
};

/// The handler runs in a strand.
struct in_a_strand {
    static constexpr const char* name = "a strand";
    using executor_type = faults::executor;
    static executor_type executor(asio::io_context& context) { return executor_type(context); }
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static auto place(asio::io_context& context, asio::io_context&, H&& h) {
        return asio::bind_executor(asio::make_strand(context), std::forward<H>(h));
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    static constexpr kinds fail_together() noexcept { return kinds::all(); }
};

#if BOOST_VERSION >= 108200
/// The handler has an immediate executor.
struct at_once {
    static constexpr const char* name = "an immediate executor";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return context.get_executor(); }
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static auto place(asio::io_context&, asio::io_context&, H&& h) {
        return asio::bind_immediate_executor(inline_executor(), std::forward<H>(h));
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    /// any_io_executor moves what it could not submit, in a destructor: a second failure there is
    /// its end, whosever function it is.
    static constexpr kinds fail_together() noexcept {
        return kinds::all().without(kind::move_handler);
    }
};
#endif

using places = std::tuple<
    one_context, own_executor, two_contexts, in_a_strand
#if BOOST_VERSION >= 108200
    ,
    at_once
#endif
    >;

/// How permits are acquired.
enum class form { bare, permit, with_permit };
inline constexpr const char* form_names[] = {"bare", "permit", "with_permit"};

struct operation {
    support::result result;
    bool threw = false;
    form how = form::bare;
    std::ptrdiff_t n = 1;
    bool given_back = false;
};

/// @tparam Limited with_permit, else one of the others
template <typename Where, bool Limited>
class world {
public:
    using semaphore_type = basic_async_semaphore<typename Where::executor_type>;
    using timer_type = asio::basic_waitable_timer<
        std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
        typename Where::executor_type>;

    explicit world(form how) : how_(how) {
        other.emplace();
        context.emplace();
        make_semaphore();
        signal.emplace();
    }
    world(const world&) = delete;
    world& operator=(const world&) = delete;
    ~world() {
        semaphore.reset();
        timers_.clear();
        context.reset();
        other.reset();
    }

    void make_semaphore() { semaphore.emplace(Where::executor(*context), initial, 10); }

    /// Does something of the library's, while the plan is in force.
    template <typename F>
    bool attempt(F f) {
        bool threw = false;
        try {
            const plan::armed now;
            f();
        } catch (const failure&) {
            threw = true;
        } catch (const std::bad_alloc&) {
            threw = true;
        } catch (const asio::multiple_exceptions&) {
            threw = true; // out of one step of a context
        }
        check();
        return threw;
    }

    static constexpr auto forever = std::chrono::nanoseconds::max();

    auto token(operation& o, asio::cancellation_slot slot) {
        return Where::place(*context, *other, handler(o.result, slot));
    }

    /// Starts an acquire; the strong guarantee holds.
    void
    acquire(std::ptrdiff_t n = 1, bool with_slot = false, std::chrono::nanoseconds wait = forever) {
        operation& o = operations.emplace_back();
        o.n = n;
        o.how = how_;
        const auto available = semaphore->available();
        const auto waiting = semaphore->waiting();
        auto t = token(o, with_slot ? signal->slot() : asio::cancellation_slot());
        if constexpr (Limited) {
            timer_type& timer = timers_.emplace_back(
                Where::operation_executor(*context, *other),
                std::chrono::steady_clock::now() + wrapped_wait);
            o.threw = attempt([&] {
                timer.async_wait(asio_semaphore::with_permit(*semaphore, n, std::move(t)));
            });
        } else {
            const bool owned = how_ == form::permit;
            o.threw = attempt([&] {
                if (owned && wait == forever)
                    semaphore->async_acquire_permit(n, std::move(t));
                else if (owned)
                    semaphore->async_acquire_permit_for(wait, n, std::move(t));
                else if (wait == forever)
                    semaphore->async_acquire(n, std::move(t));
                else
                    semaphore->async_acquire_for(wait, n, std::move(t));
            });
        }
        // What a strand has kept holds its permits until it goes; see end().
        if (o.threw && !(std::is_same_v<Where, in_a_strand> && o.result.dropped == 0)) {
            BOOST_TEST(semaphore->available() == available);
            BOOST_TEST(semaphore->waiting() == waiting);
            BOOST_TEST(o.result.calls == 0);
        }
    }

    void poll() {
        const auto again = [&](asio::io_context& c) {
            std::size_t ran = 0;
            const bool threw = attempt([&] {
                c.restart();
                ran = c.poll_one();
            });
            return threw || ran != 0;
        };
        while (again(*context) || again(*other)) {
        }
    }

    void destroy_contexts() {
        // Asio moves the functions that it destroys unrun, in a destructor: a move that throws
        // there is its end, whosever function it is.
        const bool moves = plan::get().includes(kind::move_handler);
        timers_.clear();
        for (auto* const c : {&context, &other}) {
            if (moves)
                c->reset();
            else
                attempt([&] { c->reset(); });
        }
    }

    /// Gives back what the finished operations hold.
    void give_back() {
        for (operation& o : operations) {
            if (!o.result.succeeded() || std::exchange(o.given_back, true))
                continue;
            BOOST_TEST(o.result.held.count() == (o.how == form::permit ? o.n : 0));
            if (o.how == form::permit)
                attempt([&] { o.result.held.reset(); });
            if (o.how == form::bare)
                attempt([&] { semaphore->release(o.n); });
        }
    }

    /// Nobody waits who could be served. All scenarios that look at this acquire one at a time.
    void check() {
        if (semaphore && semaphore->waiting() != 0 && one_each)
            BOOST_TEST(semaphore->available() <= 0);
    }

    /// However it went: everybody has ended once, all permits are back, and nothing is left to do.
    void end() {
        for (int i = 0; i < 100 && !all_ended(); ++i) {
            poll();
            give_back();
        }
        poll();
        give_back();
        // Asio's strand keeps a function for whose turn it could not make room, until its context
        // goes, although it has told of the failure.
        const bool is_stuck = std::is_same_v<Where, in_a_strand> && !all_ended();
        if (is_stuck)
            context.reset();
        for (const operation& o : operations) {
            BOOST_TEST(o.result.calls + o.result.dropped == 1);
            if (o.threw && !is_stuck)
                BOOST_TEST(o.result.dropped == 1);
        }
        if (semaphore) {
            BOOST_TEST(semaphore->waiting() == 0u);
            BOOST_TEST(semaphore->available() == total);
        }
        if (is_stuck)
            return;
        if (semaphore && semaphore->is_open())
            look_at_the_timer();
        for (auto* const c : {&context, &other}) {
            (*c)->restart();
            (*c)->poll();
            BOOST_TEST((*c)->stopped());
        }
    }

    form how() const { return how_; }

    static constexpr std::ptrdiff_t initial = 2;
    std::ptrdiff_t total = initial;
    bool one_each = true;
    std::chrono::steady_clock::duration wrapped_wait = -1h; ///< of operations under a limit
    std::optional<asio::io_context> other, context;
    std::optional<semaphore_type> semaphore;
    std::optional<asio::cancellation_signal> signal;
    std::deque<operation> operations;

private:
    /// The timer may have stayed on, where its executor refused to switch it off. The next wait
    /// with a deadline has it looked at again.
    void look_at_the_timer() {
        const std::ptrdiff_t free = semaphore->available();
        BOOST_TEST_REQUIRE(semaphore->try_acquire(free));
        semaphore->async_acquire_for(1h, [](boost::system::error_code) {});
        BOOST_TEST(semaphore->cancel() == 1u);
        semaphore->release(free);
        poll();
    }

    bool all_ended() const {
        for (const operation& o : operations) {
            if (o.result.pending())
                return false;
        }
        return true;
    }

    form how_;
    std::deque<timer_type> timers_;
};

/// The scenarios. They hold on to as little as possible: any call may fail.
template <typename Where, bool Limited>
std::vector<std::pair<const char*, std::function<void(world<Where, Limited>&)>>> scenarios() {
    using w = world<Where, Limited>;
    return {
        {"granted at once",
         [](w& x) {
             x.acquire();
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.poll();
         }},
        {"refused at once",
         [](w& x) {
             x.acquire(-1);
             x.acquire(11, true);
             x.acquire(0);
             if (x.how() != form::with_permit) // which has no deadline
                 x.acquire(3, false, -1h);
             x.semaphore->close();
             x.acquire();
             x.poll();
         }},
        {"granted by a release",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire();
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.attempt([&] { held.reset(); });
             x.poll();
         }},
        {"granted one after the other",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             for (int i = 0; i < 4; ++i)
                 x.acquire(1, i % 2 == 1);
             permit part = held.split(1);
             x.attempt([&] { part.reset(); });
             for (int i = 0; i < 5; ++i) {
                 x.poll();
                 x.give_back();
             }
             x.attempt([&] { held.reset(); });
         }},
        {"cancelled by slot",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, true);
             x.acquire();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::total); });
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"cancelled too late, or while it runs",
         [](w& x) {
             x.wrapped_wait = 1h;
             x.acquire(1, true);
             x.poll();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::total); });
             x.poll();
         }},
        {"a cancelled head makes way",
         [](w& x) {
             x.one_each = false;
             permit held = x.semaphore->try_acquire_permit(1);
             x.acquire(2, true);
             x.acquire();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::terminal); });
             BOOST_TEST(x.semaphore->waiting() == 0u);
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"all cancelled, then others",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.attempt([&] { x.semaphore->cancel(); });
             x.acquire();
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"closed",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.attempt([&] { x.semaphore->close(); });
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"the semaphore destroyed",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(1);
             x.acquire();
             x.acquire();
             x.acquire(1, true, 1h);
             x.attempt([&] { x.semaphore.reset(); });
             x.poll();
             for (auto& o : x.operations)
                 o.given_back = true;
             for (auto& o : x.operations)
                 x.attempt([&] { o.result.held.reset(); });
         }},
        {"another semaphore assigned",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire();
             x.acquire(1, true);
             const bool threw = x.attempt([&] {
                 typename w::semaphore_type fresh(Where::executor(*x.context), x.initial, 10);
                 *x.semaphore = std::move(fresh);
             });
             x.acquire();
             x.poll();
             if (!threw)
                 BOOST_TEST(x.semaphore->waiting() == 0u);
         }},
        {"a deadline that is over",
         [](w& x) {
             if (x.how() == form::with_permit)
                 return;
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, false, 1ns);
             x.acquire(1, true, 1ns);
             while (x.semaphore->waiting() != 0)
                 x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"a debt",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire();
             x.attempt([&] { x.semaphore->reduce(1); });
             x.attempt([&] { held.reset(); });
             x.poll();
             x.attempt([&] { x.semaphore->release(1); });
         }},
        {"the context destroyed",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(1);
             x.acquire();
             x.acquire();
             x.acquire(1, true, 1h);
             x.attempt([&] { held.reset(); });
             x.destroy_contexts();
             x.give_back();
             BOOST_TEST(x.semaphore->available() == x.total);
             x.semaphore.reset();
             x.context.emplace();
             x.other.emplace();
         }},
        {"started late",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             operation& o = x.operations.emplace_back();
             o.how = form::permit;
             auto token = x.token(o, asio::cancellation_slot());
             x.attempt([&] {
                 auto lazy = x.semaphore->async_acquire_permit(1, asio::deferred);
                 auto copy = lazy;
                 std::move(copy)(std::move(token));
             });
             x.attempt([&] { held.reset(); });
             x.poll();
         }},
        {"the first semaphore of its context",
         [](w& x) {
             x.semaphore.reset();
             x.context.emplace();
             x.attempt([&] { x.make_semaphore(); });
             if (!x.semaphore) // nothing is left of the attempt
                 x.make_semaphore();
             x.acquire();
             x.acquire(1, true);
             x.acquire();
             x.poll();
         }},
        {"semaphores made",
         [](w& x) {
             for (int i = 0; i < 5; ++i) {
                 x.attempt([&] {
                     typename w::semaphore_type one(Where::executor(*x.context), 1);
                     typename w::semaphore_type two(std::move(one));
                 });
             }
         }},
    };
}

struct totals {
    int runs = 0;
    std::map<kind, int> fired{}; // alone
    int several = 0;
};

/// ASIO_SEMAPHORE_TEST_FAULT: the only run that is wanted.
inline const std::string& only_run() {
    static const std::string given = stress::environment("ASIO_SEMAPHORE_TEST_FAULT");
    return given;
}

template <typename Where, bool Limited>
void run_all(std::initializer_list<form> forms, totals& sum) {
    constexpr int most_uses = 400;
    std::vector<kinds> all_kinds{Where::fail_together()};
    for (std::size_t k = 0; k < std::size(kind_names); ++k)
        all_kinds.push_back(static_cast<kind>(k));
    for (const auto& [scenario_name, scenario] : scenarios<Where, Limited>()) {
        for (const kinds what : all_kinds) {
            for (const form how : forms) {
                for (const times t :
                     {times::once, times::with_the_next, times::with_the_next_but_one,
                      times::from_then_on}) {
                    for (int uses = 0;; ++uses) {
                        const std::string name = std::string(scenario_name) + "; " + Where::name +
                                                 "; " + form_names[static_cast<int>(how)] + "; " +
                                                 what.name() + " fails at use " +
                                                 std::to_string(uses) + ' ' +
                                                 times_names[static_cast<int>(t)];
                        BOOST_REQUIRE(uses < most_uses);
                        if (!only_run().empty() && name != only_run()) {
                            if (uses == most_uses - 1)
                                break;
                            continue;
                        }
                        const std::string told =
                            "replay with ASIO_SEMAPHORE_TEST_FAULT=\"" + name + '"';
                        BOOST_TEST_INFO_SCOPE(told);
                        support::last_words::are(told);
                        bool fired = false;
                        plan::get().make(what, uses, t);
                        try {
                            world<Where, Limited> x(how);
                            scenario(x);
                            // What comes now works again.
                            fired = plan::get().fired();
                            plan::get().make_none();
                            x.end();
                        } catch (const std::exception& e) {
                            BOOST_FAIL("an exception that nobody expects: " << e.what());
                        }
                        BOOST_TEST(blocks_alive == 0);
                        ++sum.runs;
                        if (what.name() == Where::fail_together().name())
                            sum.several += fired;
                        for (std::size_t k = 0; k < std::size(kind_names); ++k)
                            sum.fired[static_cast<kind>(k)] +=
                                fired && what.name() == kind_names[k];
                        if (!fired && only_run().empty())
                            break;
                    }
                }
            }
        }
    }
}

/// Every scenario, with every fault, at every place where it can strike.
template <typename Where, bool Limited>
void check_all(std::initializer_list<form> forms) {
    const support::last_words on_death;
    totals sum;
    run_all<Where, Limited>(forms, sum);
    BOOST_TEST_MESSAGE(Where::name << ": " << sum.runs << " runs");
    if (!only_run().empty())
        return;
    BOOST_TEST_MESSAGE("  any kinds, one after the other: failed in " << sum.several);
    for (const auto& [k, fired] : sum.fired) {
        const char* const name = kind_names[static_cast<int>(k)];
        BOOST_TEST_MESSAGE("  " << name << ": failed in " << fired);
        BOOST_TEST((fired > 0) != Where::never_asked().contain(k), name);
    }
}

} // namespace faults
