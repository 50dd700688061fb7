// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Stops a program after 0, 1, 2 … handlers, and then destroys its context.

#include <asio_semaphore/async_semaphore.hpp>

#include <support/handlers.hpp>
#include <support/last_words.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace abandonment {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::witness;

/// The owner of the object (a semaphore or a limiter), and the end of the object.
enum class owner {
    program,      ///< the object outlives the context
    handlers,     ///< the last handler destroys the object
    until_midway, ///< a handler destroys the object while others wait
};
inline constexpr const char* owner_names[] = {"the program", "the handlers", "a handler"};

/// What happens to the second context after the destruction of the first, the object's.
enum class second { goes_too, runs_on };
inline constexpr const char* second_names[] = {"goes too", "runs on"};

/// The contexts, the signals and the object.
template <typename Object>
class surroundings {
public:
    template <typename... Args>
    explicit surroundings(owner o, Args&&... args) : owner_(o) {
        context.emplace(1);
        other.emplace(1);
        strand.emplace(context->get_executor());
        object = std::make_shared<Object>(*context, std::forward<Args>(args)...);
        weak = object;
        for (auto& s : signals)
            s.emplace();
    }
    surroundings(const surroundings&) = delete;
    surroundings& operator=(const surroundings&) = delete;

    asio::io_context& io() { return *context; }
    witness carried() const { return witness(owner_ == owner::handlers ? object : nullptr); }

    /// A slot for one operation. Its signal outlives the operation, as Asio's own compositions
    /// require. The program later emits some of these signals.
    asio::cancellation_slot own_slot() { return own_signals.emplace_back().slot(); }

    std::optional<asio::io_context> context, other;
    std::optional<asio::strand<asio::io_context::executor_type>> strand;
    std::shared_ptr<Object> object;
    std::weak_ptr<Object> weak;
    std::optional<asio::cancellation_signal> signals[3];
    std::deque<asio::cancellation_signal> own_signals;
    std::vector<std::shared_ptr<void>> until_the_end; // destroyed just before the contexts
    std::vector<std::function<void()>> afterwards;    // called after the contexts are destroyed

protected:
    ~surroundings() = default;

private:
    owner owner_;
};

class world : public surroundings<async_semaphore> {
public:
    static constexpr const char* name = "the semaphore";
    static constexpr std::ptrdiff_t initial = 3;

    explicit world(owner o) : surroundings(o, initial) {}

    async_semaphore& sem() { return *object; }

    /// The program holds permits, and a function that runs later returns them.
    void has(permit p) {
        if (p && context)
            asio::post(*context, [p = std::move(p)] {});
    }
    void has(std::ptrdiff_t n) {
        by_hand += n;
        const auto give_back = [this, n] {
            if (const auto s = weak.lock()) {
                by_hand -= n;
                s->release(n);
            }
        };
        if (context)
            asio::post(*context, give_back);
        else
            give_back();
    }

    /// Called after the contexts are destroyed.
    void check() {
        const std::ptrdiff_t there = sem().available() + by_hand;
        BOOST_TEST(there <= initial);
        BOOST_TEST(there >= initial - may_be_lost);
        BOOST_TEST(sem().waiting() == 0u);
    }

    std::ptrdiff_t by_hand = 0;
    /// Permits that may be lost: an adapter that discards results may discard the grant of an
    /// operation without a permit object, as documented.
    std::ptrdiff_t may_be_lost = 0;
};

/// Whether an adapter can discard the result of an operation.
enum class results { arrive, may_be_lost };

/// A handler for every operation of a semaphore.
class finisher {
public:
    /// @param r for an operation without a permit object; permit objects return their permits
    /// anyway
    finisher(world& w, std::ptrdiff_t n, results r = results::arrive) :
        world_(&w), n_(n), unknown_(r == results::may_be_lost ? n : 0), witness_(w.carried()) {
        w.may_be_lost += unknown_;
    }

    void operator()(error_code ec) {
        world_->may_be_lost -= std::exchange(unknown_, 0);
        if (!ec)
            world_->has(n_);
    }
    void operator()(error_code ec, permit p) {
        BOOST_TEST(p.count() == (ec ? 0 : n_));
        world_->has(std::move(p));
    }

private:
    world* world_;
    std::ptrdiff_t n_, unknown_;
    witness witness_;
};

enum class slots {
    shared, ///< several operations share a slot, and some signals are destroyed early
    own
};

/// Starts every operation of the semaphore, so often that some have to wait. to_token turns a
/// handler into a token.
template <typename ToToken>
auto all_operations(ToToken to_token, slots which = slots::shared, results r = results::arrive) {
    return [=](world& w) {
        using namespace std::chrono_literals;
        async_semaphore& s = w.sem();
        const auto token = [&](finisher f, int signal) {
            return to_token(
                w, std::move(f), which == slots::own ? w.own_slot() : w.signals[signal]->slot());
        };
        const auto bare = [&](std::ptrdiff_t n, int signal = 2) {
            return token(finisher(w, n, r), signal);
        };
        const auto owned = [&](std::ptrdiff_t n, int signal = 2) {
            return token(finisher(w, n), signal);
        };
        for (int round = 0; round < 2; ++round) {
            s.async_acquire(bare(1));
            s.async_acquire_permit(owned(1));
            s.async_acquire_permit(2, owned(2, 0));
            s.async_acquire(2, bare(2, 1));
            s.async_acquire_for(1h, bare(1));
            s.async_acquire_permit_for(1h, owned(1));
            s.async_acquire_for(1h, 2, bare(2));
            s.async_acquire_permit_for(1h, 3, owned(3));
            s.async_acquire_permit_for(-1h, owned(1));
            s.async_acquire_for(0h, 2, bare(2));
            s.async_acquire(-1, bare(0));
            s.async_acquire_permit(0, owned(0));
        }
    };
}

namespace detail {

/// Posts one handler after another, so that time passes in which permits come back and waiting
/// operations are granted. The last two end those that still wait.
template <typename World>
void pass_time(World& w, int handlers, witness carried) {
    asio::post(w.io(), [handlers, &w, c = std::move(carried)]() mutable {
        const auto s = w.weak.lock();
        if (handlers == 2 && s)
            s->cancel();
        if (handlers == 1 && s)
            s->close();
        if (handlers > 1)
            pass_time(w, handlers - 1, std::move(c));
    });
}

/// Runs at most @p k handlers of a program, then destroys its context. Returns how many ran.
template <typename World, typename Program>
int run_and_destroy(Program& program, int k, owner o, second then) {
    World w(o);
    program(w);
    // These events happen while operations wait.
    asio::post(w.io(), [&w] {
        w.signals[0]->emit(asio::cancellation_type::total);
        for (std::size_t i = 0; i < w.own_signals.size(); i += 3)
            w.own_signals[i].emit(asio::cancellation_type::total);
    });
    asio::post(w.io(), [&w] { w.signals[1].reset(); });
    asio::post(w.io(), [&w, o] {
        if (o == owner::until_midway)
            w.object.reset();
    });
    pass_time(w, 30, w.carried());
    if (o == owner::handlers)
        w.object.reset();

    int ran = 0;
    const auto step = [&](std::optional<asio::io_context>& context) {
        if (!context)
            return false;
        context->restart();
        const bool more = context->poll_one() != 0;
        ran += more;
        return more;
    };
    while (ran < k &&
           (ran % 2 == 0 ? step(w.context) || step(w.other) : step(w.other) || step(w.context))) {
    }
    const int counted = ran;
    w.until_the_end.clear();
    w.strand.reset();
    w.context.reset();
    if (then == second::runs_on)
        while (step(w.other)) {
        }
    w.other.reset();
    for (auto& f : w.afterwards)
        f();
    w.afterwards.clear();
    if (w.object)
        w.check();
    return counted;
}

} // namespace detail

/// Stops a program after each possible number of handlers. Returns the largest number.
/** @param uses_second whether some of the handlers run in world::other */
template <typename World = world, typename Program>
int stop_after_every_handler(const std::string& name, Program program, bool uses_second = false) {
    const support::last_words on_death;
    int most = 0;
    for (const owner o : {owner::program, owner::handlers, owner::until_midway}) {
        for (const second then : {second::goes_too, second::runs_on}) {
            if (then == second::runs_on && !uses_second)
                continue;
            for (int k = 0;; ++k) {
                std::string where = name + ", stopped after " + std::to_string(k) + " handlers; " +
                                    World::name + " is owned by " +
                                    owner_names[static_cast<int>(o)];
                if (uses_second)
                    where +=
                        std::string("; the second context ") + second_names[static_cast<int>(then)];
                BOOST_TEST_INFO_SCOPE(where);
                support::last_words::are(where);
                const int ran = detail::run_and_destroy<World>(program, k, o, then);
                BOOST_REQUIRE(witness::alive == 0);
                most = std::max(most, ran);
                if (ran < k)
                    break;
                BOOST_REQUIRE(k < 1000);
            }
        }
    }
    BOOST_TEST(most > 33);
    BOOST_TEST_MESSAGE(name << ": " << most << " handlers");
    return most;
}

} // namespace abandonment
