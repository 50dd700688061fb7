// The state layer in the weak memory model of C++11, and the proof that each of its memory orders
// is needed: weakened, it makes a scenario fail.

#include "relacy_threads.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <memory>
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
using waiter_type = asio_semaphore::detail::waiter<relacy_threads>;
using state_pointer = boost::intrusive_ptr<state_type>;

/// What the permits protect: whoever holds one writes it, or reads it where several may.
struct resource {
    rl::var<int> value;
    void write() { value(RL_INFO) = 1; }
    void read() const { static_cast<void>(static_cast<int>(value(RL_INFO))); }
};

/// A semaphore, and the context on which it lives.
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
    resource context; // read by submissions, written by its end
};

struct operation final : waiter_type {
    operation(world& w, std::ptrdiff_t n) : waiter_type(n), all(w) {}

    void submit() noexcept override {
        all.context.read();
        end();
    }
    void destroy() noexcept override {
        all.context.write(); // what it owns may be what other operations are submitted to
        end();
    }
    bool is_inside() const noexcept override { return false; }
    void keep_busy() noexcept override {}

    world& all;

private:
    void end() {
        world& world_of_it = all;
        const bool granted = result == outcome::granted;
        const state_pointer reference(state, false);
        delete this;
        if (granted)
            world_of_it.data.read(); // the permits are this thread's, to be handed on
    }
};

// Initiates an acquire. Granted at once, its permits are the caller's.
outcome acquire(
    world& w, state_type& state, std::ptrdiff_t n, std::initializer_list<link_type*> links = {}) {
    auto own = std::make_unique<operation>(w, n);
    for (link_type* link : links)
        link->attach(*own);
    const outcome result = state.enqueue(*own);
    if (result == outcome::queued)
        static_cast<void>(own.release());
    return result;
}

/// A scenario: what stands at first in the constructor, then the threads, each with a reference of
/// its own to the state.
template <typename Self, rl::thread_id_t Threads>
struct scenario : rl::test_suite<scenario<Self, Threads>, Threads> {
    // No smart pointers: an iteration that fails leaves everything where it is.
    struct members : Self {
        std::array<state_pointer, Threads> references;
    };

    void before() {
        plain_memory(1);
        ++relacy_iteration();
        relacy_arena() = new std::vector<std::shared_ptr<void>>;
        self = new members;
        if (Self::own_references) {
            for (auto& reference : self->references)
                reference = self->object;
        }
    }
    void thread(unsigned index) {
        self->thread(index, *self->state);
        self->references[index].reset();
    }
    void after() {
        self->links.clear();
        if (self->object)
            std::exchange(self->object, nullptr)->abort();
        if (self->registry)
            self->registry->shutdown();
        delete self;
        delete relacy_arena();
        plain_memory(-1);
    }

    members* self = nullptr;
};

// The scenarios.

/// What a releaser did is seen by who takes its permit without a lock.
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

/// ... by who is granted on the way into the queue, or in it.
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

/// ... by who is granted by a third party, once enough permits have come together.
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

/// ... after the queue has been in between: the head that it does not serve is cancelled.
struct release_behind_a_head_that_is_cancelled : world {
    release_behind_a_head_that_is_cancelled() : world(0) {
        links.push_back(std::make_unique<link_type>(object, outcome::aborted));
        acquire(*this, *object, 3, {links[0].get()});
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

/// ... where the queue is gone when the releaser, who has seen it, looks again.
struct release_while_the_head_is_cancelled : world {
    release_while_the_head_is_cancelled() : world(0) {
        links.push_back(std::make_unique<link_type>(object, outcome::aborted));
        acquire(*this, *object, 3, {links[0].get()});
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

/// A link dies while its waiter is granted.
struct grant_and_end_of_the_link : world {
    grant_and_end_of_the_link() : world(0) {
        links.push_back(std::make_unique<link_type>(object, outcome::aborted));
        acquire(*this, *object, 1, {links[0].get()});
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0)
            on.release(1);
        else
            links[0].reset();
    }
};

/// The last references go.
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

/// A submission while the context goes.
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

/// The semaphore goes, with its last submission, while the context does.
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

/// The last semaphore and the context go.
struct last_of_a_context : world {
    last_of_a_context() : world(0) {}
    void thread(unsigned index, state_type&) {
        if (index == 0)
            object.reset();
        else
            std::exchange(registry, nullptr)->shutdown();
    }
};

/// Grant, cancellation, and the end of the signal.
struct grant_cancel_and_end_of_the_link : world {
    grant_cancel_and_end_of_the_link() : world(0) {
        links.push_back(std::make_unique<link_type>(object, outcome::aborted));
        links.push_back(std::make_unique<link_type>(object, outcome::timed_out));
        acquire(*this, *object, 1, {links[0].get(), links[1].get()});
    }
    void thread(unsigned index, state_type& on) {
        if (index == 0) {
            data.write();
            on.release(1);
        } else if (index == 1) {
            links[0]->fire();
            links[0].reset();
        } else {
            links[1].reset();
        }
    }
};

struct trial {
    bool failed = false;
    rl::iteration_t iterations = 0;
    std::string text;
};

// Without a bound the search is exhaustive, with one it takes that many preemptions at most.
template <typename Scenario, rl::thread_id_t Threads, unsigned Bound = 0>
trial search() {
    std::ostringstream out;
    rl::test_params parameters;
    parameters.search_type =
        Bound == 0 ? rl::fair_full_search_scheduler_type : rl::fair_context_bound_scheduler_type;
    parameters.context_bound = Bound;
    parameters.output_stream = &out;
    parameters.progress_stream = &out;
    parameters.collect_history = false;
    trial t;
    t.failed = !rl::simulate<scenario<Scenario, Threads>>(parameters);
    t.iterations = parameters.stop_iteration;
    t.text = out.str();
    return t;
}

struct named_search {
    const char* name;
    trial (*run)();
};

#define SCENARIO(name, ...)                                                                        \
    { #name, &search < name, __VA_ARGS__> }
const std::vector<named_search> searches{
    SCENARIO(release_and_try_acquire, 2),
    SCENARIO(release_and_acquire, 2),
    SCENARIO(release_behind_a_head_that_is_cancelled, 2),
    SCENARIO(grant_and_end_of_the_link, 2),
    SCENARIO(last_references, 2),
    SCENARIO(grant_and_shutdown, 2, 2),
    SCENARIO(last_of_a_context, 2, 3),
    SCENARIO(release_while_the_head_is_cancelled, 3, 2),
    SCENARIO(two_releases_and_heavy_acquire, 3, 2),
    SCENARIO(grant_cancel_and_end_of_the_link, 3, 2),
};
#undef SCENARIO

using order = std::memory_order;
using kind = operation_kind;

// The release half of enqueue's compare-exchange is not here: nothing depends on it. What an
// enqueuer has done is handed on by the mutex, and permits that were given back before stay in
// their release sequence, of which every compare-exchange is a part.
const std::vector<weakening> weakenings{
    {"try_acquire", kind::compare_exchange, 8, false, order::acquire, order::relaxed,
     "release_and_try_acquire"},
    {"release", kind::compare_exchange, 8, false, order::release, order::relaxed,
     "release_and_try_acquire"},
    {"add", kind::compare_exchange, 8, false, order::release, order::relaxed,
     "release_while_the_head_is_cancelled"},
    {"enqueue", kind::compare_exchange, 8, false, order::acq_rel, order::release,
     "release_and_acquire"},
    {"settle", kind::store, 8, false, order::release, order::relaxed,
     "release_behind_a_head_that_is_cancelled"},
    {"take", kind::store, 8, true, order::release, order::relaxed, "grant_and_end_of_the_link"},
    {"~cancellation_link", kind::load, 8, true, order::acquire, order::relaxed,
     "grant_and_end_of_the_link"},
    {"drop", kind::subtract, 8, false, order::acq_rel, order::release, "last_references"},
    {"drop", kind::subtract, 8, false, order::acq_rel, order::acquire, "last_references"},
    {"await_submissions", kind::load, 8, false, order::acquire, order::relaxed,
     "grant_and_shutdown"},
    {"the registry's references", kind::subtract, 4, false, order::acq_rel, order::release,
     "last_of_a_context"},
    {"the registry's references", kind::subtract, 4, false, order::acq_rel, order::acquire,
     "last_of_a_context"},
};

const char* to_string(order o) {
    static constexpr const char* names[] = {"relaxed", "consume", "acquire",
                                            "release", "acq_rel", "seq_cst"};
    return names[static_cast<int>(o)];
}

void expect_success(const char* name, const trial& t) {
    std::printf("%-44s %llu executions\n", name, static_cast<unsigned long long>(t.iterations));
    BOOST_TEST(!t.failed, name << "\n" << t.text);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_weak_memory)

BOOST_AUTO_TEST_CASE(every_scenario_holds_in_the_weak_memory_model) {
    for (const named_search& s : searches)
        expect_success(s.name, s.run());
}

BOOST_AUTO_TEST_CASE(the_last_submission_happens_before_the_end_of_its_context) {
    expect_success("last_submission_and_shutdown", search<last_submission_and_shutdown, 2, 3>());
}

BOOST_AUTO_TEST_CASE(no_memory_order_can_be_weaker) {
    for (const weakening& w : weakenings) {
        BOOST_TEST_CONTEXT(w.where << ", " << to_string(w.from) << " to " << to_string(w.to)) {
            active_weakening() = &w;
            for (const named_search& s : searches) {
                if (std::string(s.name) == w.scenario)
                    BOOST_TEST(s.run().failed);
            }
            active_weakening() = nullptr;
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
