// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Threads call one semaphore at the same time. They record when each call began and ended and what
// it returned, and when each handler ran and with which result. Then the test searches for an order
// of the calls that respects these times, and in which a sequential first-come, first-granted model
// returns the same results. The search is that of Wing and Gong, with memoization.
//
// In half of the histories, the threads acquire and release any number of permits by hand; in the
// others, permit objects hold them. A call or a handler that does not end is a failure too. A
// failure prints the seed with which its history is the first one.

#include <asio_semaphore/async_semaphore.hpp>

#include <stress/options.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

enum class ending : unsigned char { waits, granted, aborted, closed, exceeds_max, timed_out };
constexpr const char* ending_names[] = {"waits",  "granted",     "aborted",
                                        "closed", "exceeds_max", "timed_out"};

enum class call : unsigned char {
    acquire,     // n permits, by operation id
    runs,        // the handler of id runs with result; returns the number of its permits
    times_out,   // the deadline of id takes effect
    cancel,      // cancels id by its slot
    cancel_all,  // returns the number of cancelled operations
    try_acquire, // n; returns whether it succeeded
    release,     // n; returns whether it succeeded, always true for a permit object
    reduce,      // n
    close,
    available, // returns the number
};
constexpr const char* call_names[] = {"acquire",     "runs",    "times_out", "cancel", "cancel_all",
                                      "try_acquire", "release", "reduce",    "close",  "available"};

struct event {
    call what;
    std::ptrdiff_t n = 0;
    std::size_t id = 0;
    std::ptrdiff_t returned = 0;
    ending result = ending::waits;
    std::uint64_t began = 0, ended = 0;
};

constexpr std::ptrdiff_t max_permits = 5;

/// One history, and its initial state.
struct history {
    std::uint64_t seed;
    std::ptrdiff_t initial;
    std::vector<event> events;
    bool lacks_a_handler = false;
};

/// The specification.
class model {
public:
    explicit model(std::ptrdiff_t initial) : available_(initial) {}

    /// Applies the event. False if the model does not return the same result.
    bool apply(const event& e) {
        switch (e.what) {
        case call::acquire:
            if (e.n > max_permits)
                end(e.id, ending::exceeds_max);
            else if (closed_)
                end(e.id, ending::closed);
            else if (queue_.empty() && e.n <= available_) {
                available_ -= e.n;
                end(e.id, ending::granted);
            } else
                queue_.emplace_back(e.id, e.n);
            return true;
        case call::runs:
            return result(e.id) == e.result &&
                   e.returned == (e.result == ending::granted ? e.n : 0);
        case call::times_out:
            return take(e.id, ending::timed_out);
        case call::cancel:
            take(e.id, ending::aborted);
            return true;
        case call::cancel_all: {
            const auto waited = static_cast<std::ptrdiff_t>(queue_.size());
            end_all(ending::aborted);
            return waited == e.returned;
        }
        case call::try_acquire: {
            const bool fits = !closed_ && queue_.empty() && e.n <= available_;
            if (fits)
                available_ -= e.n;
            return fits == (e.returned != 0);
        }
        case call::release: {
            const bool fits = e.n <= max_permits - available_;
            if (fits) {
                available_ += e.n;
                settle();
            }
            return fits == (e.returned != 0);
        }
        case call::reduce:
            available_ -= e.n;
            return true;
        case call::close:
            closed_ = true;
            end_all(ending::closed);
            return true;
        default:
            return available_ == e.returned;
        }
    }

    /// Prints equal texts for equal models with the same set of events.
    void print(std::string& to) const {
        to += static_cast<char>(available_ + 64);
        to += closed_ ? 'c' : 'o';
        for (const auto& [id, n] : queue_)
            to += static_cast<char>('0' + id);
        to += '|';
        for (const ending r : results_)
            to += static_cast<char>('0' + static_cast<int>(r));
    }

private:
    ending result(std::size_t id) const {
        return id < results_.size() ? results_[id] : ending::waits;
    }
    void end(std::size_t id, ending how) {
        if (id >= results_.size())
            results_.resize(id + 1, ending::waits);
        results_[id] = how;
    }
    bool take(std::size_t id, ending how) {
        const auto it = std::find_if(
            queue_.begin(), queue_.end(), [id](const auto& w) { return w.first == id; });
        if (it == queue_.end())
            return false;
        queue_.erase(it);
        end(id, how);
        settle();
        return true;
    }
    void settle() {
        while (!queue_.empty() && queue_.front().second <= available_) {
            available_ -= queue_.front().second;
            end(queue_.front().first, ending::granted);
            queue_.erase(queue_.begin());
        }
    }
    void end_all(ending how) {
        for (const auto& [id, n] : std::exchange(queue_, {}))
            end(id, how);
    }

    std::ptrdiff_t available_;
    bool closed_ = false;
    std::vector<std::pair<std::size_t, std::ptrdiff_t>> queue_;
    std::vector<ending> results_;
};

class search {
public:
    explicit search(const history& h) : initial_(h.initial), history_(h.events) {}

    bool finds_an_order() { return go(0, model(initial_)); }
    std::size_t steps() const { return steps_; }

private:
    bool go(std::uint64_t done, const model& now) {
        if (done == (std::uint64_t(1) << history_.size()) - 1)
            return true;
        std::string place;
        for (int i = 0; i < 8; ++i)
            place += static_cast<char>(done >> (8 * i));
        now.print(place);
        if (!been_.insert(std::move(place)).second)
            return false;
        ++steps_;
        // Any event that began before the first end of the remaining events may come next.
        auto first_end = std::numeric_limits<std::uint64_t>::max();
        for (std::size_t i = 0; i < history_.size(); ++i) {
            if ((done >> i & 1) == 0)
                first_end = std::min(first_end, history_[i].ended);
        }
        for (std::size_t i = 0; i < history_.size(); ++i) {
            if ((done >> i & 1) != 0 || history_[i].began > first_end)
                continue;
            model next = now;
            if (next.apply(history_[i]) && go(done | std::uint64_t(1) << i, next))
                return true;
        }
        return false;
    }

    const std::ptrdiff_t initial_;
    const std::vector<event>& history_;
    std::unordered_set<std::string> been_;
    std::size_t steps_ = 0;
};

std::string in_words(history h) {
    std::sort(h.events.begin(), h.events.end(), [](const event& a, const event& b) {
        return a.began < b.began;
    });
    std::ostringstream out;
    out << "ASIO_SEMAPHORE_TEST_SEED=" << h.seed << ", " << h.initial << " permits:\n";
    for (const event& e : h.events) {
        out << "  " << e.began << ".." << e.ended << ' ' << call_names[static_cast<int>(e.what)]
            << " n=" << e.n << " id=" << e.id << " returned " << e.returned;
        if (e.what == call::runs)
            out << " with " << ending_names[static_cast<int>(e.result)];
        out << '\n';
    }
    return out.str();
}

/// Waits for a condition, and returns false after a timeout.
template <typename Condition>
bool comes_about(Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > patience)
            return false;
        std::this_thread::yield();
    }
    return true;
}

/// Records histories, one at a time.
class recorder {
    static constexpr std::size_t threads = 4, calls = 5, most_ids = threads * calls;

public:
    recorder() {
        for (std::size_t t = 0; t < threads; ++t)
            workers_.emplace_back([this, t] { work(t); });
        runner_ = std::thread([this] { context_.run(); });
    }
    recorder(const recorder&) = delete;
    recorder& operator=(const recorder&) = delete;
    ~recorder() {
        round_ = stop;
        for (auto& w : workers_)
            w.join();
        work_.reset();
        if (lost_)
            context_.stop(); // otherwise it would wait forever
        runner_.join();
    }

    history record(std::uint64_t seed) {
        by_hand_ = stress::random(seed).one_in(2);
        history made{seed, by_hand_ ? 2 : 4, {}};
        std::vector<event>& events = made.events;
        semaphore_.emplace(context_, made.initial, max_permits);
        clock_ = 0;
        ids_ = 0;
        ran_ = 0;
        seed_ = seed;
        events_[threads].clear();
        for (auto& p : published_)
            p = false;
        running_ = threads;
        ++round_;
        const bool all_return = comes_about([&] { return running_ == 0; });
        for (std::size_t t = 0; t < threads; ++t)
            events.insert(events.end(), events_[t].begin(), events_[t].end());
        if (!all_return) {
            std::fprintf(stderr, "a call does not come to its end in %s", in_words(made).c_str());
            std::abort(); // the test cannot continue without that thread
        }
        events.push_back(timed({call::close}, [&](event&) { semaphore_->close(); }));
        made.lacks_a_handler = lost_ = !comes_about([&] { return ran_ == ids_; });
        if (permit all = take_out(); all) {
            while (permit p = take_out())
                all.merge(std::move(p));
            events.push_back(give_back(std::move(all)));
        }
        events.push_back(
            timed({call::available}, [&](event& e) { e.returned = semaphore_->available(); }));
        semaphore_.reset();
        for (const event& r : events_[threads]) {
            events.push_back(r);
            if (r.result == ending::timed_out) {
                const auto start = std::find_if(events.begin(), events.end(), [&](const event& e) {
                    return e.what == call::acquire && e.id == r.id;
                });
                event over{call::times_out, 0, r.id};
                over.began = start->began;
                over.ended = r.ended;
                events.push_back(over);
            }
        }
        return made;
    }

private:
    static constexpr std::uint64_t stop = std::numeric_limits<std::uint64_t>::max();

    template <typename F>
    event timed(event e, F f) {
        e.began = ++clock_;
        f(e);
        e.ended = ++clock_;
        return e;
    }

    void work(std::size_t t) {
        std::uint64_t seen = 0;
        for (;;) {
            while (round_ == seen)
                std::this_thread::yield();
            seen = round_;
            if (seen == stop)
                return;
            stress::random random(seed_ + t);
            stress::chance_of_this_thread() = stress::random(~(seed_ + t));
            std::vector<event>& events = events_[t];
            events.clear();
            for (std::size_t i = 0, many = 1 + random.below(calls); i < many; ++i) {
                if (random.one_in(3))
                    std::this_thread::yield();
                events.push_back(one_call(random));
            }
            --running_;
        }
    }

    event one_call(stress::random& random) {
        const auto n = static_cast<std::ptrdiff_t>(1 + random.below(3));
        switch (random.below(20)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
        case 5:
            return acquire(random.one_in(20) ? 6 : n, random);
        case 6:
        case 7:
            return try_acquire(n);
        case 8:
        case 9:
        case 10:
        case 11:
        case 12:
            if (by_hand_)
                return timed({call::release, n}, [&](event& e) {
                    error_code ec;
                    semaphore_->release(n, ec);
                    e.returned = !ec;
                });
            if (permit p = take_out())
                return give_back(std::move(p));
            return try_acquire(n);
        case 13:
            return timed({call::reduce, 1}, [&](event&) { semaphore_->reduce(1); });
        case 14:
            return timed({call::cancel_all}, [&](event& e) {
                e.returned = static_cast<std::ptrdiff_t>(semaphore_->cancel());
            });
        case 15:
            if (random.one_in(4))
                return timed({call::close}, [&](event&) { semaphore_->close(); });
            [[fallthrough]];
        case 16:
        case 17:
        case 18: {
            // The caller has to cancel only a started operation, and from one thread only.
            const std::size_t from = random.below(most_ids);
            for (std::size_t i = 0; i < most_ids; ++i) {
                const std::size_t id = (from + i) % most_ids;
                if (published_[id].exchange(false))
                    return timed({call::cancel, 0, id}, [&](event&) {
                        signals_[id].emit(asio::cancellation_type::total);
                    });
            }
            [[fallthrough]];
        }
        default:
            return timed(
                {call::available}, [&](event& e) { e.returned = semaphore_->available(); });
        }
    }

    event acquire(std::ptrdiff_t n, stress::random& random) {
        const std::size_t id = ids_++;
        const auto slot = signals_[id].slot();
        const bool limited = random.one_in(4);
        const auto wait = std::chrono::microseconds(random.below(20));
        const event e = timed({call::acquire, n, id}, [&](event&) {
            if (by_hand_) {
                auto handler = asio::bind_cancellation_slot(
                    slot, [this, n, id](error_code ec) { note_run(n, id, ec, ec ? 0 : n); });
                if (limited)
                    semaphore_->async_acquire_for(wait, n, std::move(handler));
                else
                    semaphore_->async_acquire(n, std::move(handler));
            } else {
                auto handler =
                    asio::bind_cancellation_slot(slot, [this, n, id](error_code ec, permit p) {
                        const std::ptrdiff_t count = p.count();
                        put_in(std::move(p));
                        note_run(n, id, ec, count);
                    });
                if (limited)
                    semaphore_->async_acquire_permit_for(wait, n, std::move(handler));
                else
                    semaphore_->async_acquire_permit(n, std::move(handler));
            }
        });
        published_[id] = true;
        return e;
    }

    void note_run(std::ptrdiff_t n, std::size_t id, error_code ec, std::ptrdiff_t permits) {
        event e{call::runs, n, id, permits, ending_of(ec)};
        e.began = e.ended = ++clock_;
        events_[threads].push_back(e); // one thread runs all handlers
        ++ran_;
    }

    event try_acquire(std::ptrdiff_t n) {
        permit taken;
        const event e = timed({call::try_acquire, n}, [&](event& of) {
            if (by_hand_)
                of.returned = semaphore_->try_acquire(n);
            else
                of.returned = (taken = semaphore_->try_acquire_permit(n)).count() == n;
        });
        put_in(std::move(taken));
        return e;
    }

    event give_back(permit p) {
        return timed({call::release, p.count(), 0, 1}, [&](event&) { p.reset(); });
    }

    /// Stores permits that a later call returns.
    void put_in(permit p) {
        const std::lock_guard<std::mutex> lock(permits_mutex_);
        if (p)
            permits_.push_back(std::move(p));
    }
    permit take_out() {
        const std::lock_guard<std::mutex> lock(permits_mutex_);
        if (permits_.empty())
            return {};
        permit p = std::move(permits_.back());
        permits_.pop_back();
        return p;
    }

    static ending ending_of(error_code ec) {
        if (!ec)
            return ending::granted;
        if (ec == asio_semaphore::error::closed)
            return ending::closed;
        if (ec == asio_semaphore::error::exceeds_max)
            return ending::exceeds_max;
        return ec == asio::error::timed_out ? ending::timed_out : ending::aborted;
    }

    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::optional<async_semaphore> semaphore_;
    std::array<asio::cancellation_signal, most_ids> signals_;
    std::array<std::atomic<bool>, most_ids> published_{};
    std::array<std::vector<event>, threads + 1> events_; // one per thread, and one for handlers
    std::atomic<std::uint64_t> clock_{0}, round_{0};
    std::atomic<std::size_t> ids_{0}, ran_{0}, running_{0};
    std::uint64_t seed_ = 0;
    bool by_hand_ = true;
    bool lost_ = false; // whether a handler was lost
    std::mutex permits_mutex_;
    std::vector<permit> permits_; // guarded by permits_mutex_
    std::vector<std::thread> workers_;
    std::thread runner_;
};

/// A history of sequential calls.
history in_turn(std::vector<event> events) {
    std::uint64_t time = 0;
    for (event& e : events) {
        e.began = ++time;
        e.ended = ++time;
    }
    return {0, 2, std::move(events)};
}

event runs(const event& acquire, ending how) {
    return {call::runs, acquire.n, acquire.id, how == ending::granted ? acquire.n : 0, how};
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_linearizability)

// Tests the checker itself: which histories it accepts and rejects.
BOOST_AUTO_TEST_CASE(the_checker_accepts_right_histories_and_rejects_wrong_ones) {
    const auto accepts = [](const history& h) {
        return search(h).finds_an_order();
    };
    const event acquire0{call::acquire, 2, 0}, acquire1{call::acquire, 3, 1},
        acquire2{call::acquire, 1, 2}, give3{call::release, 3, 0, 1};
    // Right: first come, first granted.
    BOOST_TEST(accepts(in_turn(
        {acquire0,
         runs(acquire0, ending::granted),
         acquire1,
         acquire2,
         give3,
         runs(acquire1, ending::granted),
         {call::release, 1, 0, 1},
         runs(acquire2, ending::granted)})));
    // Wrong: a smaller request overtakes.
    BOOST_TEST(!accepts(in_turn(
        {acquire1, acquire2, runs(acquire2, ending::granted), give3,
         runs(acquire1, ending::granted)})));
    // Wrong: try_acquire overtakes the queue.
    BOOST_TEST(!accepts(in_turn({acquire1, {call::try_acquire, 1, 0, 1}})));
    // A cancelled head leaves the queue without a permit.
    const event cancel1{call::cancel, 0, 1};
    BOOST_TEST(accepts(in_turn(
        {acquire1,
         acquire2,
         cancel1,
         runs(acquire1, ending::aborted),
         runs(acquire2, ending::granted),
         {call::available, 0, 0, 1}})));
    BOOST_TEST(!accepts(in_turn({acquire1, acquire2, cancel1, {call::available, 0, 0, 2}})));
    // Wrong: a permit is invented; a permit is lost.
    BOOST_TEST(!accepts(in_turn({{call::try_acquire, 2, 0, 1}, {call::try_acquire, 1, 0, 1}})));
    BOOST_TEST(!accepts(in_turn({{call::release, 1, 0, 1}, {call::try_acquire, 3, 0, 0}})));
    // Two concurrent calls may have either order, but not both.
    auto race = in_turn({{call::try_acquire, 2, 0, 1}, {call::try_acquire, 2, 0, 0}});
    event &first = race.events[0], &second = race.events[1];
    std::swap(first.returned, second.returned);
    BOOST_TEST(!accepts(race));
    first.ended = second.ended;
    BOOST_TEST(accepts(race));
    first.returned = 1;
    BOOST_TEST(!accepts(race));
    // Wrong: a handler gets fewer permits than it asked for.
    event fewer = runs(acquire0, ending::granted);
    fewer.returned = 1;
    BOOST_TEST(!accepts(in_turn({acquire0, fewer})));
    // No operation waits for a closed semaphore, but permits still return to it.
    BOOST_TEST(accepts(in_turn(
        {acquire1,
         {call::close},
         runs(acquire1, ending::closed),
         acquire2,
         runs(acquire2, ending::closed),
         give3,
         {call::try_acquire, 1, 0, 0},
         {call::available, 0, 0, 5}})));
    BOOST_TEST(
        !accepts(in_turn({acquire1, {call::close}, give3, runs(acquire1, ending::granted)})));
}

BOOST_AUTO_TEST_CASE(every_recorded_history_has_a_sequential_explanation) {
    const std::uint64_t seed = stress::seed();
    BOOST_TEST_MESSAGE("ASIO_SEMAPHORE_TEST_SEED=" << seed);
    const auto until = std::chrono::steady_clock::now() + stress::time_to_run(3);
    recorder r;
    std::size_t histories = 0, events = 0, overlapping = 0, steps = 0, longest = 0;
    while (histories == 0 || std::chrono::steady_clock::now() < until) {
        const history h = r.record(seed + histories * 100);
        ++histories;
        if (h.lacks_a_handler)
            BOOST_FAIL("a handler is lost in " << in_words(h));
        BOOST_REQUIRE(h.events.size() < 64);
        events += h.events.size();
        longest = std::max(longest, h.events.size());
        for (const event& a : h.events) {
            overlapping += std::any_of(h.events.begin(), h.events.end(), [&a](const event& b) {
                return &a != &b && b.what != call::times_out && a.what != call::times_out &&
                       a.began < b.began && b.began < a.ended;
            });
        }
        search s(h);
        const bool explained = s.finds_an_order();
        steps += s.steps();
        if (!explained)
            BOOST_FAIL("no order explains " << in_words(h));
    }
    BOOST_TEST_MESSAGE(
        histories << " histories of up to " << longest << " events, " << events << " in all, "
                  << overlapping << " overlapped by another; " << steps << " steps of the search");
    BOOST_TEST(overlapping > 0u);
}

BOOST_AUTO_TEST_SUITE_END()
