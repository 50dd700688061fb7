// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Tests the state layer under the weak memory model of C++11. Also shows that each memory order is
// needed at every place in the code: if it is weakened only there, a scenario fails.

#include "relacy_threads.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace asio_semaphore::model;
using asio_semaphore::detail::outcome;
using state_type = asio_semaphore::detail::semaphore_state<relacy_threads>;
using registry_type = asio_semaphore::detail::state_registry<relacy_threads>;
using link_type = asio_semaphore::detail::cancellation_link<relacy_threads>;
using alarm_type = asio_semaphore::detail::alarm<relacy_threads>;
using waiter_type = asio_semaphore::detail::waiter<relacy_threads>;
using state_pointer = boost::intrusive_ptr<state_type>;

/// The data that permits protect. A holder writes it or, if several may hold permits, reads it.
struct resource {
    rl::var<int> value;
    void write() { value(RL_INFO) = 1; }
    void read() const { static_cast<void>(static_cast<int>(value(RL_INFO))); }
};

/// A semaphore and its context.
struct world {
    explicit world(std::ptrdiff_t initial) : registry(new registry_type) {
        object = state_pointer(new state_type(initial, 100, registry), false);
        state = object.get();
        data.write();
        context.write();
    }

    static constexpr bool own_references = false;

    boost::intrusive_ptr<registry_type> registry;
    state_pointer object;
    state_type* state;
    std::vector<std::unique_ptr<link_type>> links;
    resource data;
    resource context; // submissions read it, and the end of the context writes it
};

struct operation final : waiter_type {
    operation(world& w, std::ptrdiff_t n) : waiter_type(n), all(w) {}

    void submit() noexcept override {
        all.context.read();
        end();
    }
    void destroy() noexcept override {
        all.context.write(); // the handler may own the context of other operations
        end();
    }
    bool is_inside() const noexcept override { return false; }
    void hold_work() noexcept override {}

    world& all;

private:
    void end() {
        world& world_of_it = all;
        const bool granted = result == outcome::granted;
        const state_pointer reference(static_cast<state_type*>(state), false);
        delete this;
        if (granted)
            world_of_it.data.read(); // this thread owns the permits now
    }
};

// Initiates an acquire. If it is granted at once, the caller owns the permits.
outcome acquire(world& w, state_type& state, std::ptrdiff_t n, link_type* link = nullptr) {
    auto own = std::make_unique<operation>(w, n);
    if (link != nullptr)
        link->attach(*own);
    const outcome result = state.enqueue(*own);
    if (result == outcome::queued)
        static_cast<void>(own.release());
    else
        state.detach(*own);
    return result;
}

/// Hashes of the results that each thread saw in one execution. They are collected only if a test
/// sets outcomes().
using outcome_of_all = std::array<std::uint64_t, most_threads>;
std::set<outcome_of_all>*& outcomes() {
    static std::set<outcome_of_all>* wanted = nullptr;
    return wanted;
}
void note_outcome() {
    if (outcomes() == nullptr)
        return;
    outcome_of_all all;
    for (std::size_t i = 0; i < most_threads; ++i)
        all[i] = now()->threads[i].results;
    outcomes()->insert(all);
}

/// A scenario: the constructor sets up the initial state, and then the threads run, each with its
/// own reference to the semaphore's state.
template <typename Self, rl::thread_id_t Threads>
struct scenario : rl::test_suite<scenario<Self, Threads>, Threads> {
    // No smart pointers, because a failed execution destroys nothing.
    struct members : Self {
        std::array<state_pointer, Threads> references;
    };

    void before() {
        plain_memory(1);
        ++execution_number();
        now() = new execution;
        self = new members;
        if (Self::own_references) {
            for (auto& reference : self->references)
                reference = self->object;
        }
    }
    void thread(unsigned index) {
        start_thread();
        self->thread(index, *self->state);
        self->references[index].reset();
        after_first_step(); // the thread may have had no step
    }
    void after() {
        note_outcome();
        self->links.clear();
        if (self->object)
            std::exchange(self->object, nullptr)->abort();
        if (self->registry)
            self->registry->shutdown();
        delete self;
        delete now();
        plain_memory(-1);
    }

    members* self = nullptr;
};

// The scenarios.

/// A thread that takes a permit without a lock sees everything before the release.
struct release_and_try_acquire : world {
    release_and_try_acquire() : world(0) {}
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
        } else if (on.try_acquire(1) == outcome::granted) {
            data.write();
        }
    }
};

/// The same for an operation that is granted on its way into the queue, or in the queue.
struct release_and_acquire : world {
    release_and_acquire() : world(0) {}
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
        } else if (acquire(*this, on, 1) == outcome::granted) {
            data.write();
        }
    }
};

/// The same for an operation that a third thread grants, when enough permits have returned.
struct two_releases_and_heavy_acquire : world {
    two_releases_and_heavy_acquire() : world(0) {}
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
        } else if (index == 1) {
            if (acquire(*this, on, 2) == outcome::granted)
                data.read();
        } else {
            on.release(1);
        }
    }
};

/// The same with a queue in between: the release does not serve the head, which is cancelled then.
struct release_behind_a_head_that_is_cancelled : world {
    release_behind_a_head_that_is_cancelled() : world(0) {
        links.push_back(std::make_unique<link_type>(object));
        acquire(*this, *object, 3, links[0].get());
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
            links[0]->fire();
        } else if (on.try_acquire(1) == outcome::granted) {
            data.write();
        }
    }
};

/// The same if the releaser has seen a queue that is empty when it looks again.
struct release_while_the_head_is_cancelled : world {
    release_while_the_head_is_cancelled() : world(0) {
        links.push_back(std::make_unique<link_type>(object));
        acquire(*this, *object, 3, links[0].get());
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
        } else if (index == 1) {
            links[0]->fire();
        } else if (on.try_acquire(1) == outcome::granted) {
            data.write();
        }
    }
};

/// A cancellation that may come before its waiter joins the queue.
struct acquire_and_cancel : world {
    acquire_and_cancel() : world(0) { links.push_back(std::make_unique<link_type>(object)); }
    void thread(unsigned index, state_type& on) {
        if (index == 0)
            acquire(*this, on, 1, links[0].get());
        else
            links[0]->fire();
    }
};

/// A link is destroyed while its waiter is granted.
struct grant_and_end_of_the_link : world {
    grant_and_end_of_the_link() : world(0) {
        links.push_back(std::make_unique<link_type>(object));
        acquire(*this, *object, 1, links[0].get());
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0)
            on.release(1);
        else
            links[0].reset();
    }
};

/// The last references are released.
struct last_references : world {
    static constexpr bool own_references = true;
    last_references() : world(1) {}
    void thread(unsigned index, state_type& on) {
        if (index == 0)
            std::exchange(object, nullptr)->abort();
        else
            static_cast<void>(on.try_acquire(1));
    }
};

/// A submission during the shutdown of the context.
struct grant_and_shutdown : world {
    grant_and_shutdown() : world(0) {
        acquire(*this, *object, 1);
        acquire(*this, *object, 1);
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            on.release(1);
        } else {
            registry->shutdown();
            context.write();
        }
    }
};

/// The semaphore's last submission and its destruction, during the shutdown of the context.
struct last_submission_and_shutdown : world {
    last_submission_and_shutdown() : world(0) { acquire(*this, *object, 1); }
    void thread(unsigned index, state_type&) {
        if (index == 0) {
            std::exchange(object, nullptr)->abort();
        } else {
            registry->shutdown();
            context.write();
        }
    }
};

/// The end of a state whose timer uses the context, during the shutdown of the context.
struct last_reference_and_shutdown : world {
    last_reference_and_shutdown() : world(0) {
        state->install_alarm(std::make_unique<timer>(*this));
    }
    void thread(unsigned index, state_type&) {
        if (index == 0) {
            object.reset();
        } else {
            registry->shutdown();
            context.write();
        }
    }

    struct timer final : alarm_type {
        explicit timer(world& w) : alarm_type(*w.state), all(w) {}
        ~timer() override {
            if (!is_shut)
                all.context.read();
        }
        void post() override {}
        void shut() noexcept override { is_shut = true; }

        world& all;
        bool is_shut = false;
    };
};

/// The alarm handles its timer during the shutdown of the context.
struct alarm_and_shutdown : world {
    static constexpr bool own_references = true;
    alarm_and_shutdown() : world(0) {
        auto made = std::make_unique<timer>(*this);
        alarm = made.get();
        state->install_alarm(std::move(made));
        alarm->posted();
    }
    void thread(unsigned index, state_type&) {
        if (index == 0) {
            if (alarm->claim()) {
                timer_of_all.write();
                asio_semaphore::detail::time_point at;
                RL_ASSERT(!alarm->next(at));
            }
        } else {
            registry->shutdown();
            context.write();
        }
    }

    struct timer final : alarm_type {
        explicit timer(alarm_and_shutdown& w) : alarm_type(*w.state), all(w) {}
        void post() override {}
        void shut() noexcept override { all.timer_of_all.write(); }

        alarm_and_shutdown& all;
    };

    resource timer_of_all;
    alarm_type* alarm;
};

/// A wait with a deadline begins during the shutdown of the context.
struct expectation_and_shutdown : world {
    static constexpr bool own_references = true;
    expectation_and_shutdown() : world(0) {
        auto made = std::make_unique<timer>(*this);
        alarm = made.get();
        state->install_alarm(std::move(made));
    }
    void thread(unsigned index, state_type&) {
        if (index == 0) {
            const alarm_type::expectation expected(*alarm, asio_semaphore::detail::time_point());
            expected.post();
        } else {
            registry->shutdown();
            context.write();
        }
    }

    struct timer final : alarm_type {
        explicit timer(world& w) : alarm_type(*w.state), all(w) {}
        void post() override { all.context.read(); }
        void shut() noexcept override { all.context.write(); }

        world& all;
    };

    alarm_type* alarm;
};

/// The destruction of the last semaphore and of the context.
struct last_of_a_context : world {
    last_of_a_context() : world(0) {}
    void thread(unsigned index, state_type&) {
        if (index == 0)
            object.reset();
        else
            std::exchange(registry, nullptr)->shutdown();
    }
};

/// A grant and a cancellation; then the signal is destroyed.
struct grant_and_cancel : world {
    grant_and_cancel() : world(0) {
        links.push_back(std::make_unique<link_type>(object));
        acquire(*this, *object, 1, links[0].get());
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
        } else {
            links[0]->fire();
            links[0].reset();
        }
    }
};

/// A call ends all waiters, and lets other calls in between, while one waiter is cancelled.
struct end_and_cancel : world {
    end_and_cancel() : world(0) {
        acquire(*this, *object, 1);
        links.push_back(std::make_unique<link_type>(object));
        acquire(*this, *object, 1, links[0].get());
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            on.cancel();
        } else {
            links[0]->fire();
            links[0].reset();
        }
    }
};

/// The same during the shutdown of the context.
struct end_and_shutdown : world {
    end_and_shutdown() : world(0) {
        acquire(*this, *object, 1);
        acquire(*this, *object, 1);
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            on.close();
        } else {
            registry->shutdown();
            context.write();
        }
    }
};

// The library's own mutex. Everywhere else, Relacy's mutex replaces it.

/// A holder of the mutex sees everything that the previous holder did.
struct a_mutex_taken_in_turn : world {
    a_mutex_taken_in_turn() : world(0) {}
    void thread(unsigned, state_type&) {
        for (int i = 0; i < 2; ++i) {
            const std::lock_guard lock(mutex);
            data.write();
        }
    }

    asio_semaphore::detail::brief_mutex<relacy_threads> mutex;
};

/// The same with three threads, and for the thread that destroys the mutex.
struct the_last_destroys_the_mutex : world {
    using mutex_type = asio_semaphore::detail::brief_mutex<relacy_threads>;

    the_last_destroys_the_mutex() : world(0), left(3), mutex(new mutex_type) {}
    void thread(unsigned, state_type&) {
        mutex->lock();
        const int others = left(RL_INFO) - 1;
        left(RL_INFO) = others;
        mutex->unlock();
        if (others == 0)
            delete mutex;
    }

    rl::var<int> left;
    mutex_type* mutex;
};

struct trial {
    rl::test_result_e result = rl::test_result_success;
    rl::iteration_t executions = 0;
    std::string text;
};

/// How a scenario is searched: systematically, or at random.
struct extent {
    rl::scheduler_type_e type;
    rl::iteration_t executions = 0;
};
constexpr extent full{rl::fair_full_search_scheduler_type};
constexpr extent random_ones(rl::iteration_t executions) {
    return {rl::random_scheduler_type, executions};
}

template <typename Scenario, rl::thread_id_t Threads>
trial search(extent e) {
    std::ostringstream out;
    rl::test_params parameters;
    parameters.search_type = e.type;
    parameters.iteration_count = e.executions;
    parameters.output_stream = &out;
    parameters.progress_stream = &out;
    parameters.collect_history = false;
    trial t;
    rl::simulate<scenario<Scenario, Threads>>(parameters);
    t.result = parameters.test_result;
    t.executions = parameters.stop_iteration;
    t.text = out.str();
    return t;
}

/// ASIO_SEMAPHORE_LONG=1: also checks the shortcuts where that takes minutes.
bool long_run() {
    const char* const value = std::getenv("ASIO_SEMAPHORE_LONG");
    return value != nullptr && *value != '\0' && *value != '0';
}

struct named_search {
    const char* name;
    trial (*run)(extent);
};

#define SCENARIO(name, threads)                                                                    \
    { #name, &search < name, threads> }
const std::vector<named_search> searches{
    SCENARIO(release_and_try_acquire, 2),
    SCENARIO(release_and_acquire, 2),
    SCENARIO(release_behind_a_head_that_is_cancelled, 2),
    SCENARIO(release_while_the_head_is_cancelled, 3),
    SCENARIO(two_releases_and_heavy_acquire, 3),
    SCENARIO(acquire_and_cancel, 2),
    SCENARIO(grant_and_cancel, 2),
    SCENARIO(grant_and_end_of_the_link, 2),
    SCENARIO(end_and_cancel, 2),
    SCENARIO(last_references, 2),
    SCENARIO(grant_and_shutdown, 2),
    SCENARIO(last_submission_and_shutdown, 2),
    SCENARIO(last_reference_and_shutdown, 2),
    SCENARIO(end_and_shutdown, 2),
    SCENARIO(alarm_and_shutdown, 2),
    SCENARIO(expectation_and_shutdown, 2),
    SCENARIO(last_of_a_context, 2),
    SCENARIO(a_mutex_taken_in_turn, 2),
    SCENARIO(the_last_destroys_the_mutex, 3),
};
#undef SCENARIO

const named_search& find(const char* name) {
    const auto it = std::find_if(searches.begin(), searches.end(), [name](const named_search& s) {
        return std::strcmp(s.name, name) == 0;
    });
    BOOST_REQUIRE_MESSAGE(it != searches.end(), "there is no scenario " << name);
    return *it;
}

using order = std::memory_order;
using kind = operation_kind;

/// Every memory order that is stronger than relaxed, at every place. The three orders of the
/// library's mutex come last.
const std::vector<weakening> weakenings{
    {"semaphore_state.hpp", "try_acquire", kind::compare_exchange, order::acquire, order::relaxed,
     "release_and_try_acquire"},
    {"semaphore_state.hpp", "release", kind::compare_exchange, order::release, order::relaxed,
     "release_and_try_acquire"},
    {"semaphore_state.ipp", "enqueue", kind::compare_exchange, order::acquire, order::relaxed,
     "release_and_acquire"},
    {"semaphore_state.ipp", "add", kind::compare_exchange, order::release, order::relaxed,
     "release_while_the_head_is_cancelled"},
    {"semaphore_state.ipp", "settle", kind::store, order::release, order::relaxed,
     "release_behind_a_head_that_is_cancelled"},
    {"waiting_line.ipp", "let_go", kind::store, order::release, order::relaxed,
     "grant_and_end_of_the_link"},
    {"cancellation_link.ipp", "~cancellation_link", kind::load, order::acquire, order::relaxed,
     "grant_and_end_of_the_link"},
    {"waiting_line.hpp", "drop", kind::subtract, order::acq_rel, order::release, "last_references"},
    {"waiting_line.hpp", "drop", kind::subtract, order::acq_rel, order::acquire, "last_references"},
    {"waiting_line.hpp", "drop", kind::subtract, order::acq_rel, order::acquire,
     "grant_and_shutdown"},
    {"waiting_line.ipp", "await_sections", kind::load, order::acquire, order::relaxed,
     "grant_and_shutdown"},
    {"state_registry.hpp", "intrusive_ptr_release", kind::subtract, order::acq_rel, order::release,
     "last_of_a_context"},
    {"state_registry.hpp", "intrusive_ptr_release", kind::subtract, order::acq_rel, order::acquire,
     "last_of_a_context"},
    {"threads.hpp", "lock", kind::exchange, order::acquire, order::relaxed,
     "a_mutex_taken_in_turn"},
    {"threads.hpp", "lock_contended", kind::exchange, order::acquire, order::relaxed,
     "a_mutex_taken_in_turn"},
    {"threads.hpp", "unlock", kind::store, order::release, order::relaxed, "a_mutex_taken_in_turn"},
};

const char* to_string(order o) {
    static constexpr const char* names[] = {"relaxed", "consume", "acquire",
                                            "release", "acq_rel", "seq_cst"};
    return names[static_cast<int>(o)];
}

std::string in_words(const weakening& w) {
    return std::string(w.file) + ": " + w.function + ", " + to_string(w.from) + " to " +
           to_string(w.to);
}

std::vector<std::string> lines_of(const std::filesystem::path& header) {
    std::vector<std::string> lines;
    std::ifstream in(header);
    for (std::string line; std::getline(in, line);)
        lines.push_back(line);
    return lines;
}

/// How many calls in a header have an order that is stronger than relaxed.
std::size_t orders_in(const std::filesystem::path& header) {
    static const std::regex name("memory_order(_|::)(consume|acquire|release|acq_rel)");
    std::size_t orders = 0;
    for (const std::string& line : lines_of(header))
        orders += static_cast<std::size_t>(std::distance(
            std::sregex_iterator(line.begin(), line.end(), name), std::sregex_iterator()));
    return orders;
}

/// Whether the comment just above a call names the scenario, in brackets.
bool is_named_above(const ordered_call& call, const std::string& scenario) {
    const auto lines = lines_of(call.site.file);
    std::string above;
    for (int line = std::max(call.site.line - 7, 0); line < call.site.line; ++line)
        above += lines.at(static_cast<std::size_t>(line));
    return std::regex_search(above, std::regex("\\[[^\\]]*\\b" + scenario + "\\b"));
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_weak_memory)

BOOST_AUTO_TEST_CASE(every_scenario_holds_in_the_weak_memory_model) {
    for (const named_search& s : searches) {
        const auto start = std::chrono::steady_clock::now();
        const trial t = s.run(full);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        std::printf(
            "%-40s %9llu executions %7.2f s\n", s.name,
            static_cast<unsigned long long>(t.executions), took.count());
        BOOST_TEST(t.result == rl::test_result_success, s.name << "\n" << t.text);
    }
}

// In random executions, a load may return even older values, and three threads can have any number
// of preemptions.
BOOST_AUTO_TEST_CASE(every_scenario_holds_in_executions_at_random) {
    for (const named_search& s : searches) {
        const trial t = s.run(random_ones(20'000));
        BOOST_TEST(t.result == rl::test_result_success, s.name << "\n" << t.text);
    }
}

BOOST_AUTO_TEST_CASE(the_short_cuts_of_the_search_leave_out_no_outcome) {
    for (const char* name :
         {"release_and_try_acquire", "release_and_acquire",
          "release_behind_a_head_that_is_cancelled", "grant_and_end_of_the_link", "last_references",
          "last_of_a_context", "grant_and_shutdown"}) {
        if (name == std::string("grant_and_shutdown") && !long_run()) // 2.4 million executions
            continue;
        std::set<outcome_of_all> found[2];
        rl::iteration_t executions[2];
        for (const bool taken : {false, true}) {
            short_cuts() = taken;
            outcomes() = &found[taken];
            executions[taken] = find(name).run(full).executions;
            outcomes() = nullptr;
        }
        std::printf(
            "%-40s %zu outcomes in %llu executions, with short cuts %llu\n", name, found[1].size(),
            static_cast<unsigned long long>(executions[0]),
            static_cast<unsigned long long>(executions[1]));
        BOOST_TEST((found[0] == found[1]), name << ": without short cuts " << found[0].size());
    }
}

BOOST_AUTO_TEST_CASE(no_memory_order_can_be_weaker) {
    for (const weakening& w : weakenings) {
        const named_search& s = find(w.scenario);
        active_weakening() = &w;
        const trial t = s.run(full);
        active_weakening() = nullptr;
        std::printf(
            "%-62s is seen by %s in execution %llu\n", in_words(w).c_str(), w.scenario,
            static_cast<unsigned long long>(t.executions));
        BOOST_TEST(
            t.result == rl::test_result_data_race,
            in_words(w) << ", in " << w.scenario << ": " << rl::test_result_str(t.result));
    }
}

// Checks that each weakening applies to exactly one place, and that no place is missing, not even
// one that no scenario reaches. Also checks that a comment at every place in the headers names the
// scenario that fails.
BOOST_AUTO_TEST_CASE(every_memory_order_in_the_headers_is_listed) {
    for (const named_search& s : searches)
        static_cast<void>(s.run(random_ones(1'000)));
    const auto& calls = ordered_calls();
    std::map<std::string, std::size_t> places; // by file
    for (const ordered_call& call : calls) {
        ++places[std::filesystem::path(call.site.file).filename().string()];
        std::set<order> tried;
        for (const weakening& w : weakenings) {
            if (w.is_of(call)) {
                tried.insert(w.to);
                BOOST_TEST(
                    is_named_above(call, w.scenario),
                    call.site.file << ":" << call.site.line << " does not name " << w.scenario);
            }
        }
        const std::set<order> weaker = call.order == order::acq_rel
                                           ? std::set<order>{order::acquire, order::release}
                                           : std::set<order>{order::relaxed};
        BOOST_TEST(
            (tried == weaker), call.site.file << ":" << call.site.line << ": "
                                              << to_string(call.order)
                                              << " is not tried with all that is weaker");
    }
    for (const weakening& w : weakenings) {
        const auto meant = std::count_if(
            calls.begin(), calls.end(), [&](const ordered_call& call) { return w.is_of(call); });
        BOOST_TEST(meant == 1, in_words(w) << " is said of " << meant << " places");
    }
    BOOST_REQUIRE(!calls.empty());
    const auto headers = std::filesystem::path(calls.front().site.file).parent_path().parent_path();
    for (const auto& entry : std::filesystem::recursive_directory_iterator(headers)) {
        if (entry.is_regular_file())
            BOOST_TEST(
                orders_in(entry.path()) == places[entry.path().filename().string()], entry.path());
    }
}

BOOST_AUTO_TEST_SUITE_END()
