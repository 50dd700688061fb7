// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// with_permit around operations of Asio, each in every situation: waiting, running, ended.

#include <asio_semaphore/with_permit.hpp>

#include <asio/with_permit_support.hpp>
#include <support/handlers.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;
using support::ending;
using support::ends;

namespace {

const error_code aborted = asio::error::operation_aborted;
const error_code closed = asio_semaphore::error::closed;
const error_code channel_cancelled = asio::experimental::error::channel_cancelled;
using cancel = asio::cancellation_type;

constexpr auto never = asio::steady_timer::time_point::max();

// Each kind of operation has a function to start it, one to let it succeed, and one to let it fail.
// If ends_by_itself, a test calls succeed() before the start, otherwise while the operation runs.
// cancellable says whether a cancellation ends the operation.

struct timer_wait {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = true;

    explicit timer_wait(asio::io_context& context) : timer(context, never) {}
    template <typename Token>
    void start(Token&& token) {
        timer.async_wait(std::forward<Token>(token));
    }
    void succeed() { timer.expires_at(asio::steady_timer::time_point::min()); }
    void fail() { timer.cancel(); }

    asio::steady_timer timer;
};

struct socket_pair {
    explicit socket_pair(asio::io_context& context) : near(context), far(context) {
        asio::local::connect_pair(near, far);
        far.non_blocking(true);
    }
    asio::local::stream_protocol::socket near, far;
};

/// Writes more than the buffers of the socket hold, so in many steps.
struct large_write : socket_pair {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = false;

    explicit large_write(asio::io_context& context) : socket_pair(context), data(4 << 20) {}
    template <typename Token>
    void start(Token&& token) {
        asio::async_write(near, asio::buffer(data), std::forward<Token>(token));
    }
    void succeed() {
        std::vector<char> sink(1 << 16);
        error_code ec;
        while (far.read_some(asio::buffer(sink), ec) > 0) {
        }
    }
    void fail() { far.close(); }

    std::vector<char> data;
};

struct read_line : socket_pair {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = false;

    using socket_pair::socket_pair;
    template <typename Token>
    void start(Token&& token) {
        asio::async_read_until(near, asio::dynamic_buffer(line), '\n', std::forward<Token>(token));
    }
    void succeed() { asio::write(far, asio::buffer("a line\n", 7)); }
    void fail() { far.close(); }

    std::string line;
};

/// Completes with an object that has no default constructor.
struct accept {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = false;

    explicit accept(asio::io_context& context) :
        acceptor(context, {asio::ip::address_v4::loopback(), 0}), client(context) {}
    template <typename Token>
    void start(Token&& token) {
        acceptor.async_accept(std::forward<Token>(token));
    }
    void succeed() {
        if (!client.is_open())
            client.connect(acceptor.local_endpoint());
    }
    void fail() { acceptor.cancel(); }

    asio::ip::tcp::acceptor acceptor;
    asio::ip::tcp::socket client;
};

struct resolve {
    static constexpr bool cancellable = false;
    static constexpr bool ends_by_itself = true;

    explicit resolve(asio::io_context& context) : resolver(context) {}
    template <typename Token>
    void start(Token&& token) {
        resolver.async_resolve(host, "80", flags, std::forward<Token>(token));
    }
    void succeed() {}
    void fail() {
        host = "not an address";
        flags |= query::numeric_host; // no DNS query
    }

    using query = asio::ip::tcp::resolver;
    query resolver;
    std::string host = "localhost";
    query::flags flags = query::numeric_service;
};

/// Two waits in turn, with async_compose.
struct composed {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = true;

    explicit composed(asio::io_context& context) : timer(context, never) {}
    template <typename Token>
    void start(Token&& token) {
        asio::async_compose<Token, void(error_code, std::unique_ptr<int>)>(
            [this, step = 0](auto& self, error_code ec = {}) mutable {
                if (ec || step == 2)
                    self.complete(ec, std::make_unique<int>(step));
                else {
                    ++step;
                    timer.async_wait(std::move(self));
                }
            },
            token, timer);
    }
    void succeed() { timer.expires_at(asio::steady_timer::time_point::min()); }
    void fail() { timer.cancel(); }

    asio::steady_timer timer;
};

/// The operation is a coroutine, so its signature begins with an exception_ptr.
struct coroutine {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = true;

    explicit coroutine(asio::io_context& context) : timer(context, never) {}
    template <typename Token>
    void start(Token&& token) {
        asio::co_spawn(
            timer.get_executor(),
            [this]() -> asio::awaitable<std::string> {
                co_await timer.async_wait(asio::use_awaitable);
                co_return "done";
            },
            std::forward<Token>(token));
    }
    void succeed() { timer.expires_at(asio::steady_timer::time_point::min()); }
    void fail() { timer.cancel(); }

    asio::steady_timer timer;
};

struct receive {
    static constexpr bool cancellable = true;
    static constexpr bool ends_by_itself = false;

    explicit receive(asio::io_context& context) : channel(context) {}
    template <typename Token>
    void start(Token&& token) {
        channel.async_receive(std::forward<Token>(token));
    }
    void succeed() { channel.try_send(error_code(), std::string("message")); }
    void fail() { channel.close(); }

    asio::experimental::channel<void(error_code, std::string)> channel;
};

using operations = boost::mpl::list<
    accept, timer_wait, large_write, read_line, resolve, composed, coroutine, receive>;

template <typename Operation>
struct situation {
    asio::cancellation_signal signal;
    ending end;
    std::optional<asio::io_context> context{std::in_place};
    std::optional<async_semaphore> sem{std::in_place, *context, 1, 1};
    std::shared_ptr<Operation> operation = std::make_shared<Operation>(*context);

    auto handler() { return asio::bind_cancellation_slot(signal.slot(), ends(end)); }
    void start() { operation->start(with_permit(*sem, handler())); }
    /// The handler owns the I/O object, so that the context can be destroyed.
    void start_and_let_go(async_semaphore& limit) {
        Operation& started = *operation;
        started.start(with_permit(limit, asio::consign(handler(), std::move(operation))));
    }
    void start_and_let_go() { start_and_let_go(*sem); }
    void poll() { support::poll(*context); }

    /// Runs until the operation has its permit, and waits for succeed() or fail().
    void run_until_started() {
        poll();
        BOOST_TEST(end.pending());
        BOOST_TEST(sem->available() == 0);
    }
    template <typename Step>
    void run_until_ended(Step step) {
        while (end.pending()) {
            step();
            if (context->run_one() == 0)
                context->restart();
        }
        poll();
    }
    void run_until_ended() {
        run_until_ended([] {});
    }
    void check_permits() {
        BOOST_TEST(sem->available() == 1);
        BOOST_TEST(sem->waiting() == 0u);
        BOOST_TEST(sem->try_acquire());
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(with_permit_operations)

BOOST_AUTO_TEST_CASE_TEMPLATE(succeeds_at_once, Operation, operations) {
    situation<Operation> s;
    if (Operation::ends_by_itself)
        s.operation->succeed();
    s.end.at_call = [&] {
        BOOST_TEST(s.sem->available() == 1);
    };
    s.start();
    BOOST_TEST(s.end.pending());
    if (!Operation::ends_by_itself)
        s.run_until_started();
    s.run_until_ended([&] {
        if (!Operation::ends_by_itself)
            s.operation->succeed();
    });
    BOOST_TEST(s.end.succeeded());
    s.check_permits();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(waits_then_succeeds, Operation, operations) {
    situation<Operation> s;
    if (Operation::ends_by_itself)
        s.operation->succeed();
    auto held = s.sem->try_acquire_permit();
    s.start();
    s.poll();
    BOOST_TEST(s.end.pending());
    BOOST_TEST(s.sem->waiting() == 1u);
    held.reset();
    if (!Operation::ends_by_itself)
        s.run_until_started();
    s.run_until_ended([&] {
        if (!Operation::ends_by_itself)
            s.operation->succeed();
    });
    BOOST_TEST(s.end.succeeded());
    s.check_permits();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(fails_on_its_own, Operation, operations) {
    situation<Operation> s;
    if (!Operation::cancellable)
        s.operation->fail();
    s.start();
    if (Operation::cancellable) {
        s.run_until_started();
        s.operation->fail();
    }
    s.run_until_ended();
    BOOST_TEST(s.end.failed());
    s.check_permits();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancelled_while_waiting, Operation, operations) {
    situation<Operation> s;
    auto held = s.sem->try_acquire_permit();
    s.start();
    s.poll();
    s.signal.emit(cancel::total);
    BOOST_TEST(s.end.pending());
    s.poll();
    BOOST_TEST(s.end.failed(aborted));
    held.reset();
    s.check_permits();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(
    cancelled_after_the_grant_and_before_the_start, Operation, operations) {
    situation<Operation> s;
    s.start();
    s.signal.emit(cancel::terminal);
    s.poll();
    BOOST_TEST(s.end.failed(aborted));
    s.check_permits();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cancelled_while_running, Operation, operations) {
    situation<Operation> s;
    s.start();
    if (Operation::cancellable) {
        s.run_until_started();
        s.signal.emit(cancel::terminal);
        s.run_until_ended();
        BOOST_TEST(s.end.failed());
        BOOST_TEST((s.end.ec == aborted || s.end.ec == channel_cancelled));
    } else { // the cancellation has no effect
        s.context->run_one();
        s.signal.emit(cancel::terminal);
        s.run_until_ended();
        BOOST_TEST(s.end.succeeded());
    }
    s.check_permits();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closed_while_waiting, Operation, operations) {
    situation<Operation> s;
    auto held = s.sem->try_acquire_permit();
    s.start();
    s.poll();
    s.sem->close();
    s.poll();
    BOOST_TEST(s.end.failed(closed));
    held.reset();
    BOOST_TEST(s.sem->available() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(closed_while_running, Operation, operations) {
    situation<Operation> s;
    if (Operation::ends_by_itself)
        s.operation->succeed();
    s.start();
    s.context->run_one(); // the operation is started
    BOOST_TEST(s.end.pending());
    s.sem->close();
    s.run_until_ended([&] {
        if (!Operation::ends_by_itself)
            s.operation->succeed();
    });
    BOOST_TEST(s.end.succeeded());
    BOOST_TEST(s.sem->available() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(semaphore_destroyed_while_waiting, Operation, operations) {
    situation<Operation> s;
    auto held = s.sem->try_acquire_permit();
    s.start();
    s.poll();
    s.sem.reset();
    BOOST_TEST(s.end.pending());
    s.poll();
    BOOST_TEST(s.end.failed(aborted));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(semaphore_destroyed_while_running, Operation, operations) {
    situation<Operation> s;
    if (Operation::ends_by_itself)
        s.operation->succeed();
    s.start();
    s.context->run_one(); // the operation is started
    BOOST_TEST(s.end.pending());
    s.sem.reset();
    s.run_until_ended([&] {
        if (!Operation::ends_by_itself)
            s.operation->succeed();
    });
    BOOST_TEST(s.end.succeeded());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(context_destroyed_while_waiting, Operation, operations) {
    situation<Operation> s;
    auto held = s.sem->try_acquire_permit();
    s.start_and_let_go();
    s.poll();
    s.context.reset();
    BOOST_TEST(s.end.was_dropped());
    BOOST_TEST(s.sem->waiting() == 0u);
    held.reset();
    BOOST_TEST(s.sem->available() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(context_destroyed_before_the_start, Operation, operations) {
    situation<Operation> s;
    s.start_and_let_go();
    BOOST_TEST(s.sem->available() == 0);
    s.context.reset();
    BOOST_TEST(s.end.was_dropped());
    BOOST_TEST(s.sem->available() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(context_destroyed_while_running, Operation, operations) {
    situation<Operation> s;
    s.start_and_let_go();
    s.context->run_one(); // the operation is started
    BOOST_TEST(s.end.pending());
    s.context.reset();
    BOOST_TEST(s.end.was_dropped());
    BOOST_TEST(s.sem->available() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(
    context_destroyed_while_running_under_the_limit_of_another, Operation, operations) {
    asio::io_context elsewhere;
    async_semaphore limit(elsewhere, 1);
    ending next;
    situation<Operation> s;
    s.start_and_let_go(limit);
    elsewhere.run_one();
    s.context->run_one(); // the operation is started
    asio::steady_timer other(elsewhere, asio::steady_timer::time_point::min());
    other.async_wait(with_permit(limit, ends(next)));
    BOOST_TEST(limit.waiting() == 1u);
    s.context.reset();
    BOOST_TEST(s.end.was_dropped());
    elsewhere.restart();
    elsewhere.run(); // the next operation has the permit
    BOOST_TEST(next.succeeded());
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(
    context_destroyed_while_one_runs_and_others_wait, Operation, operations) {
    situation<Operation> s;
    std::vector<ending> others(3);
    auto kept = s.operation;
    s.start_and_let_go();
    for (auto& other : others) {
        Operation& operation = *kept;
        operation.start(with_permit(*s.sem, asio::consign(ends(other), kept)));
    }
    kept.reset();
    s.context->run_one(); // the operation is started
    BOOST_TEST(s.sem->waiting() == 3u);
    s.context.reset();
    BOOST_TEST(s.end.was_dropped());
    for (const auto& other : others)
        BOOST_TEST(other.was_dropped());
    BOOST_TEST(s.sem->available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
