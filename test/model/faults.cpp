#include <asio_semaphore/async_semaphore.hpp>

#include <model/faults.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

void* operator new(std::size_t size) {
    if (faults::plan::get().spend(faults::kind::operator_new))
        throw std::bad_alloc();
    if (void* const p = std::malloc(size == 0 ? 1 : size))
        return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    if (faults::plan::get().spend(faults::kind::operator_new))
        throw std::bad_alloc();
    const auto a = static_cast<std::size_t>(alignment);
    if (void* const p = std::aligned_alloc(a, (size + a - 1) / a * a))
        return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    std::free(p);
}

namespace {

using namespace std::chrono_literals;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using faults::kind;
using faults::plan;
namespace asio = boost::asio;

/// Handler and semaphore on one io_context, both type-erased.
struct one_context {
    static constexpr const char* name = "one io_context";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return context.get_executor(); }
    template <typename H>
    static H place(asio::io_context&, H&& h) {
        return std::forward<H>(h);
    }
};

/// An executor of one's own for both.
struct own_executor {
    static constexpr const char* name = "an executor of one's own";
    using executor_type = faults::executor;
    static executor_type executor(asio::io_context& context) { return executor_type(context); }
    template <typename H>
    static H place(asio::io_context&, H&& h) {
        return std::forward<H>(h);
    }
};

/// The handler runs elsewhere.
struct two_contexts {
    static constexpr const char* name = "two contexts";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return faults::executor(context); }
    template <typename H>
    static auto place(asio::io_context& other, H&& h) {
        return asio::bind_executor(faults::executor(other), std::forward<H>(h));
    }
};

struct operation {
    support::result result;
    bool threw = false;
    bool owned = false;
    std::ptrdiff_t n = 1;
    bool given_back = false;
};

template <typename Where>
class world {
public:
    using semaphore_type = basic_async_semaphore<typename Where::executor_type>;

    explicit world(bool owned) : owned_(owned) {
        other.emplace();
        context.emplace();
        semaphore.emplace(Where::executor(*context), initial, 10);
        signal.emplace();
    }

    ~world() {
        semaphore.reset();
        context.reset();
        other.reset();
    }

    /// Does something of the library's, while the plan is in force.
    template <typename F>
    bool attempt(F f) {
        bool threw = false;
        try {
            const plan::armed now;
            f();
        } catch (const faults::failure&) {
            threw = true;
        } catch (const std::bad_alloc&) {
            threw = true;
        }
        check();
        return threw;
    }

    static constexpr auto forever = std::chrono::nanoseconds::max();

    /// Starts an acquire; the strong guarantee holds.
    void
    acquire(std::ptrdiff_t n = 1, bool with_slot = false, std::chrono::nanoseconds wait = forever) {
        operation& o = operations.emplace_back();
        o.n = n;
        o.owned = owned_;
        const auto available = semaphore->available();
        const auto waiting = semaphore->waiting();
        auto token = Where::place(
            *other,
            faults::handler(o.result, with_slot ? signal->slot() : asio::cancellation_slot()));
        o.threw = attempt([&] {
            if (owned_ && wait == forever)
                semaphore->async_acquire_permit(n, std::move(token));
            else if (owned_)
                semaphore->async_acquire_permit_for(wait, n, std::move(token));
            else if (wait == forever)
                semaphore->async_acquire(n, std::move(token));
            else
                semaphore->async_acquire_for(wait, n, std::move(token));
        });
        if (o.threw) {
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
        const bool moves = plan::get().is(kind::move_handler);
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
            BOOST_TEST(o.result.held.count() == (o.owned ? o.n : 0));
            attempt([&] { o.owned ? o.result.held.reset() : semaphore->release(o.n); });
        }
    }

    /// Nobody waits who could be served. All scenarios that look at this acquire one at a time.
    void check() {
        if (semaphore && semaphore->waiting() != 0 && one_each)
            BOOST_TEST(semaphore->available() <= 0);
    }

    /// However it went: everybody has ended once, and all permits are back.
    void end() {
        for (int i = 0; i < 100 && !all_ended(); ++i) {
            poll();
            give_back();
        }
        poll();
        give_back();
        for (const operation& o : operations) {
            BOOST_TEST(o.result.calls + o.result.dropped == 1);
            if (o.threw)
                BOOST_TEST(o.result.dropped == 1);
        }
        if (semaphore) {
            BOOST_TEST(semaphore->waiting() == 0u);
            BOOST_TEST(semaphore->available() == total);
        }
    }

    static constexpr std::ptrdiff_t initial = 2;
    std::ptrdiff_t total = initial;
    bool one_each = true;
    std::optional<asio::io_context> other, context;
    std::optional<semaphore_type> semaphore;
    std::optional<asio::cancellation_signal> signal;
    std::deque<operation> operations;

private:
    bool all_ended() const {
        for (const operation& o : operations) {
            if (o.result.pending())
                return false;
        }
        return true;
    }

    bool owned_;
};

/// The scenarios. They hold on to as little as possible: any call may fail.
template <typename Where>
std::vector<std::pair<const char*, std::function<void(world<Where>&)>>> scenarios() {
    using w = world<Where>;
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
             BOOST_TEST(x.semaphore->available() == x.total);
             x.semaphore.reset();
             x.context.emplace();
             x.other.emplace();
         }},
        {"started late",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.attempt([&] {
                 auto lazy = x.semaphore->async_acquire_permit(1, asio::deferred);
                 auto copy = lazy;
                 operation* o = nullptr;
                 {
                     const plan::disarmed now;
                     o = &x.operations.emplace_back();
                     o->owned = true;
                 }
                 std::move(copy)(
                     Where::place(*x.other, faults::handler(o->result, asio::cancellation_slot())));
             });
             x.attempt([&] { held.reset(); });
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
    std::map<kind, int> fired{};
};

template <typename Where>
void run_all(totals& sum) {
    const auto all = scenarios<Where>();
    for (const auto& [name, scenario] : all) {
        for (const auto k :
             {kind::allocate, kind::operator_new, kind::move_handler, kind::execute, kind::drop,
              kind::emplace}) {
            for (const bool owned : {false, true}) {
                for (const bool for_good : {false, true}) {
                    for (int uses = 0;; ++uses) {
                        BOOST_TEST_INFO_SCOPE(
                            name << "; " << Where::name << "; " << (owned ? "permit" : "bare")
                                 << "; " << faults::kind_names[static_cast<int>(k)] << " fails "
                                 << (for_good ? "from use " : "at use ") << uses);
                        BOOST_REQUIRE(uses < 200);
                        plan::get().make(k, uses, for_good);
                        {
                            world<Where> x(owned);
                            scenario(x);
                            // What comes now works again.
                            const bool fired = plan::get().fired();
                            plan::get().make(k, 1 << 30, false);
                            x.end();
                            ++sum.runs;
                            sum.fired[k] += fired;
                            if (!fired)
                                uses = -1;
                        }
                        BOOST_TEST(faults::blocks_alive == 0);
                        if (uses < 0)
                            break;
                    }
                }
            }
        }
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_faults)

BOOST_AUTO_TEST_CASE_TEMPLATE(
    nothing_is_lost_whatever_fails, Where,
    decltype(std::tuple<one_context, own_executor, two_contexts>())) {
    totals sum;
    run_all<Where>(sum);
    BOOST_TEST_MESSAGE(Where::name << ": " << sum.runs << " runs");
    for (const auto& [k, fired] : sum.fired) {
        const char* const name = faults::kind_names[static_cast<int>(k)];
        BOOST_TEST_MESSAGE("  " << name << ": failed in " << fired);
        const bool is_asked =
            !std::is_same_v<Where, one_context> || (k != kind::execute && k != kind::drop);
        BOOST_TEST((fired > 0) == is_asked, name);
    }
}

BOOST_AUTO_TEST_SUITE_END()
