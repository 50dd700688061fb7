// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The operations with an object that is not a semaphore. They need only a waiting line, and a
// request type that says what an operation asks for and what its handler receives.

#include <asio_semaphore/detail/operation/deadline_timer.hpp>
#include <asio_semaphore/detail/operation/initiation.hpp>
#include <asio_semaphore/detail/operation/limited_token.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace asio_semaphore::detail;
using boost::system::error_code;

/// Admits one operation at a time, and numbers the admitted ones.
class turnstile final : public waiting_line<threads> {
    using line = waiting_line<threads>;

public:
    struct entrant : timed_waiter<threads> {
        entrant(time_point until, bool works) noexcept : timed_waiter<threads>(1, until, works) {}

        int number = 0;
    };

    turnstile() : line(new state_registry<threads>) { line::enlist(); }

    outcome try_enter(int& number) noexcept {
        const std::lock_guard<threads::mutex> lock(mutex_);
        if (is_taken_ || !queue_.empty())
            return outcome::queued;
        is_taken_ = true;
        number = ++last_;
        return outcome::granted;
    }

    /// A waiter with a count of 0 waits until no operation is inside.
    outcome enqueue(waiter<threads>& w, bool is_alarmed = false) noexcept {
        const std::lock_guard<threads::mutex> lock(mutex_);
        const outcome ended = line::ends_at_once(w);
        if (ended != outcome::queued)
            return ended;
        if (!line::may_join(w, is_alarmed))
            return outcome::unalarmed;
        if (!is_taken_ && queue_.empty()) {
            enter(w);
            return outcome::granted;
        }
        line::join(w);
        return outcome::queued;
    }

    void leave() noexcept {
        section here(*this);
        is_taken_ = false;
        make_way(here.taken);
    }

    std::string told; // the reports of the operations that left

private:
    void enter(waiter<threads>& w) noexcept {
        is_taken_ = w.count > 0;
        if (is_taken_)
            static_cast<entrant&>(w).number = ++last_;
    }
    void bar() noexcept override {}
    void leaves(waiter_type&, outcome) noexcept override {}
    void make_way(taken_type& taken) noexcept override {
        while (!is_taken_ && !queue_.empty()) {
            waiter_type& w = queue_.front();
            enter(w);
            line::take(w, outcome::granted, taken);
        }
    }

    bool is_taken_ = false; // guarded by mutex_
    int last_ = 0;          // guarded by mutex_
};

using turnstile_pointer = boost::intrusive_ptr<turnstile>;

class ticket {
public:
    ticket() noexcept = default;
    ticket(turnstile_pointer of, int n) noexcept : number(n), of_(std::move(of)) {}
    ticket(ticket&&) noexcept = default;
    ticket& operator=(ticket&&) = delete;
    ~ticket() { reset(); }

    void finish(const error_code& ec) { leave(ec ? "failed " : "succeeded "); }
    void ignore() { leave("ignored "); }
    void reset() noexcept { leave("dropped "); }

    int number = 0;

private:
    void leave(const char* how) noexcept {
        if (const turnstile_pointer of = std::move(of_)) {
            of->told += how;
            of->leave();
        }
    }

    turnstile_pointer of_;
};

struct enter_request {
    using signature = void(error_code, ticket);
    using state_type = turnstile;
    using holding = ticket;

    static constexpr bool calls_executor = false;
    static constexpr bool submits_others = false;
    [[maybe_unused]] static constexpr const char* limit_name = "turnstile";
    [[maybe_unused]] static constexpr const char* name = "async_enter";

    struct waiter_type : turnstile::entrant {
        waiter_type(const enter_request& request, bool works) noexcept :
            turnstile::entrant(request.at, works) {}
    };

    outcome try_now(const turnstile_pointer& state) noexcept { return state->try_enter(number); }
    template <typename Executor>
    static outcome
    enqueue(const Executor& executor, const turnstile_pointer& state, waiter_type& w) {
        return deadline_timer<Executor>::enqueue(executor, state, w);
    }
    ticket hold(const turnstile_pointer& state, outcome result) const noexcept {
        return result == outcome::granted ? ticket(state, number) : ticket();
    }
    static ticket hold(turnstile_pointer&& state, const waiter_type& w) noexcept {
        return w.result == outcome::granted ? ticket(std::move(state), w.number) : ticket();
    }

    time_point at;
    int number = 0;
};

struct wait_idle_request {
    using signature = void(error_code);
    using state_type = turnstile;
    using holding = nothing;

    static constexpr bool calls_executor = false;
    static constexpr bool submits_others = false;
    [[maybe_unused]] static constexpr const char* limit_name = "turnstile";
    [[maybe_unused]] static constexpr const char* name = "async_wait_idle";

    struct waiter_type : waiter<threads> {
        waiter_type(wait_idle_request, bool works) noexcept : waiter<threads>(0, works) {}
    };

    static outcome try_now(const turnstile_pointer&) noexcept { return outcome::queued; }
    template <typename Executor>
    static outcome enqueue(const Executor&, const turnstile_pointer& state, waiter_type& w) {
        return state->enqueue(w);
    }
    static nothing hold(const turnstile_pointer&, outcome) noexcept { return {}; }
    static nothing hold(turnstile_pointer&&, const waiter_type&) noexcept { return {}; }
};

template <typename Executor>
struct initiate : initiation<Executor, turnstile> {
    using base = initiation<Executor, turnstile>;
    using base::base;

    template <typename Handler, typename Request>
    void operator()(Handler&& handler, Request request) const {
        base::start(std::forward<Handler>(handler), std::move(request));
    }
};

class gate {
public:
    using executor_type = asio::any_io_executor;

    explicit gate(asio::io_context& context) : executor_(context.get_executor()) {}
    ~gate() { state->abort(); }

    executor_type get_executor() const noexcept { return executor_; }

    template <typename Token>
    auto async_enter(deadline_clock::duration wait, Token&& token) {
        return asio::async_initiate<Token, enter_request::signature>(
            initiate<executor_type>(executor_, state), token, enter_request{deadline_after(wait)});
    }
    template <typename Token>
    auto async_wait_idle(Token&& token) {
        return asio::async_initiate<Token, wait_idle_request::signature>(
            initiate<executor_type>(executor_, state), token, wait_idle_request{});
    }

    turnstile_pointer state{new turnstile, false};

private:
    executor_type executor_;
};

struct gate_limit {
    gate::executor_type get_executor() const noexcept { return of->get_executor(); }
    auto acquire() const { return of->async_enter(std::chrono::hours(1), asio::deferred); }

    gate* of;
};

template <typename Token>
auto with_ticket(gate& g, Token&& token) {
    return limit_token(gate_limit{&g}, std::forward<Token>(token));
}

/// An operation that completes with the given results.
template <typename Signature, typename Token, typename... Results>
auto async_complete(asio::io_context& context, Token&& token, Results... results) {
    return asio::async_initiate<Token, Signature>(
        [&context](auto handler, auto... values) {
            asio::post(context, [handler = std::move(handler), values...]() mutable {
                std::move(handler)(std::move(values)...);
            });
        },
        token, std::move(results)...);
}

struct fixture {
    asio::io_context context;
    gate g{context};
    std::chrono::hours long_enough{1};
};

std::exception_ptr thrown(error_code ec) {
    return std::make_exception_ptr(boost::system::system_error(ec));
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(requests, fixture)

BOOST_AUTO_TEST_CASE(an_operation_granted_at_once_or_after_a_wait_gets_its_ticket) {
    std::optional<ticket> first, second;
    g.async_enter(long_enough, [&](error_code, ticket t) { first.emplace(std::move(t)); });
    g.async_enter(long_enough, [&](error_code, ticket t) { second.emplace(std::move(t)); });
    context.poll();
    BOOST_TEST(first->number == 1);
    BOOST_TEST(!second);
    first->finish({});
    context.poll();
    BOOST_TEST(second->number == 2);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_at_its_deadline_or_is_cancelled_or_aborted) {
    std::optional<ticket> first;
    std::string ends;
    asio::cancellation_signal signal;
    const auto note = [&](error_code ec, const ticket& t) {
        ends += ec == asio::error::timed_out           ? "timed out "
                : ec == asio::error::operation_aborted ? "aborted "
                                                       : "otherwise ";
        ends += t.number == 0 ? "" : "with a ticket ";
    };
    g.async_enter(long_enough, [&](error_code, ticket t) { first.emplace(std::move(t)); });
    g.async_enter(std::chrono::milliseconds(1), note);
    g.async_enter(long_enough, asio::bind_cancellation_slot(signal.slot(), note));
    g.async_wait_idle([&](error_code ec) { ends += ec ? "not idle " : "idle "; });
    signal.emit(asio::cancellation_type::total);
    context.run_one();
    context.run_one();
    while (ends.find("timed out") == std::string::npos)
        context.run_one();
    g.state->abort();
    context.run();
    BOOST_TEST(ends == "aborted timed out not idle ");
    BOOST_TEST(g.state->told == "");
}

BOOST_AUTO_TEST_CASE(an_operation_may_complete_without_a_ticket) {
    std::optional<ticket> first;
    std::string ends;
    const auto note = [&](error_code ec) {
        ends += ec ? "failed " : "idle ";
    };
    g.async_wait_idle(note);
    context.run();
    g.async_enter(long_enough, [&](error_code, ticket t) { first.emplace(std::move(t)); });
    g.async_wait_idle(note);
    context.restart();
    context.poll();
    BOOST_TEST(ends == "idle ");
    first.reset();
    context.run();
    BOOST_TEST(ends == "idle idle ");
}

BOOST_AUTO_TEST_CASE(the_ticket_of_a_dropped_handler_comes_back) {
    {
        asio::io_context other;
        g.async_enter(long_enough, asio::bind_executor(other, [](error_code, const ticket&) {}));
    }
    BOOST_TEST(g.state->told == "dropped ");
}

BOOST_AUTO_TEST_CASE(a_ticket_reports_how_its_operation_ended) {
    using asio::error::connection_reset;
    const error_code reset = connection_reset;
    const auto told = [this](auto start) {
        start();
        context.restart();
        context.run();
        return std::exchange(g.state->told, {});
    };
    const auto under = [this] {
        return with_ticket(g, asio::detached);
    };
    using bare = void(error_code);
    using thrower = void(std::exception_ptr, int);
    BOOST_TEST(told([&] { async_complete<bare>(context, under(), error_code()); }) == "succeeded ");
    BOOST_TEST(told([&] { async_complete<bare>(context, under(), reset); }) == "failed ");
    BOOST_TEST(
        told([&] { async_complete<bare>(context, under(), connection_reset); }) == "failed ");
    BOOST_TEST(told([&] {
                   async_complete<thrower>(context, under(), std::exception_ptr(), 1);
               }) == "succeeded ");
    BOOST_TEST(
        told([&] { async_complete<thrower>(context, under(), thrown(reset), 1); }) == "failed ");
    BOOST_TEST(told([&] {
                   async_complete<thrower>(
                       context, under(), std::make_exception_ptr(std::logic_error("")), 1);
               }) == "ignored ");
    using tuple = std::tuple<error_code, int>;
    BOOST_TEST(
        told([&] { async_complete<void(tuple)>(context, under(), tuple(reset, 1)); }) == "failed ");
}

BOOST_AUTO_TEST_CASE(the_ticket_of_a_dropped_operation_reports_no_end) {
    {
        asio::io_context other;
        async_complete<void(error_code)>(other, with_ticket(g, asio::detached), error_code());
        context.run();
    }
    BOOST_TEST(g.state->told == "dropped ");
}

BOOST_AUTO_TEST_SUITE_END()
