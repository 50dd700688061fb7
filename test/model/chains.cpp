// Deliveries that set off others: a handler that is destroyed by its executor owns a permit of
// another semaphore, whose waiter is then served from within the submission.

#include "explore.hpp"
#include "world.hpp"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace asio_semaphore::model;

/// Two semaphores of one context. One waits for the first, and holds a permit of the second, for
/// which somebody else waits. Thread a serves the first; b does something else.
class chain final : public scenario {
public:
    using body = std::function<void(chain&)>;

    explicit chain(body other, bool ends_context = false) :
        other_(std::move(other)), ends_context_(ends_context), registry_(new registry_type) {
        alive = 0;
        first = state_pointer(new state_type(0, 10, registry_), false);
        second = state_pointer(new state_type(1, 10, registry_), false);
        if (second->try_acquire(1) != outcome::granted)
            fail("no permit");
        queue(*first, second);
        queue(*second, nullptr);
        giver_ = first;
        other_giver = second;
    }
    ~chain() override { alive = 0; }

    std::size_t threads() const override { return 2; }

    void run(std::size_t thread) override {
        if (thread == 0) {
            giver_->release(1);
            giver_.reset();
        } else {
            other_(*this);
            other_giver.reset();
        }
    }

    void end() override {
        for (state_pointer* object : {&first, &second})
            destroy(*object);
        shut_down();
        registry_.reset();
        if (alive != 0)
            fail("operations were leaked");
        if (ended_ != 2)
            fail("an operation has not ended, or has ended twice");
    }

    static void destroy(state_pointer& object) {
        if (const state_pointer last = std::move(object))
            last->abort();
    }

    void shut_down() {
        registry_->shutdown();
        scheduler::get().point(access::write, &context_alive_, "end of the context");
        scheduler::get().trace_value(0);
        context_alive_ = false;
    }

    state_pointer first, second; // what the semaphore objects hold
    state_pointer other_giver;   // thread b's reference to the second

private:
    struct handler final : waiter_type {
        handler(chain& c, state_pointer p) : waiter_type(1), all(c), permit_of(std::move(p)) {
            ++alive;
        }
        ~handler() { --alive; }

        void submit() noexcept override {
            chain& of = all;
            of.submission();
            if (!end())
                of.submission();
        }
        void destroy() noexcept override { end(); }
        bool is_inside() const noexcept override { return false; }
        void keep_busy() noexcept override {}

        /// Says whether it ended the context.
        bool end() {
            chain& of = all;
            ++of.ended_;
            const bool granted = result == outcome::granted;
            state_pointer reference(state, false);
            state_pointer held = std::move(permit_of);
            const bool ends_context = held && of.ends_context_;
            delete this;
            if (ends_context)
                of.shut_down();
            if (held)
                held.detach()->put_back(1);
            if (granted)
                reference.detach()->put_back(1);
            return ends_context;
        }

        chain& all;
        state_pointer permit_of;
    };

    void queue(state_type& state, state_pointer permit_of) {
        auto own = std::make_unique<handler>(*this, std::move(permit_of));
        if (state.enqueue(*own) == outcome::queued)
            static_cast<void>(own.release());
        else
            fail("not queued");
    }

    void submission() {
        scheduler::get().point(access::read, &context_alive_, "submission");
        scheduler::get().trace_value(context_alive_);
        if (!context_alive_)
            fail("an operation is submitted to a context that has shut down");
    }

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    static inline int alive = 0;

    body other_;
    const bool ends_context_; // rather, the handler of the first waiter destroys the context
    boost::intrusive_ptr<registry_type> registry_;
    state_pointer giver_;
    bool context_alive_ = true;
    int ended_ = 0;
};

void explore(const std::string& title, const chain::body& other, bool ends_context = false) {
    exploration all;
    all.run(
        "chain:" + title, {bound(any_number, 1)},
        [&] { return std::make_unique<chain>(other, ends_context); },
        std::string("  thread a serves a waiter whose handler ") +
            (ends_context ? "destroys the context" : "holds a permit of another semaphore") +
            "\n  thread b: " + title);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_chains)

BOOST_AUTO_TEST_CASE(the_second_semaphore_dies_while_its_waiter_is_served_in_the_chain) {
    explore("destroy_second", [](chain& c) { chain::destroy(c.second); });
}

BOOST_AUTO_TEST_CASE(the_first_semaphore_dies_while_it_is_served) {
    explore("destroy_first", [](chain& c) { chain::destroy(c.first); });
}

BOOST_AUTO_TEST_CASE(the_context_goes_in_the_middle_of_the_chain) {
    explore("shutdown", [](chain& c) { c.shut_down(); });
}

BOOST_AUTO_TEST_CASE(a_handler_destroys_the_context_while_another_thread_submits_to_it) {
    explore(
        "release_second", [](chain& c) { c.other_giver->release(1); }, true);
}

BOOST_AUTO_TEST_CASE(a_handler_destroys_the_context_while_a_semaphore_dies) {
    explore(
        "destroy_second_while_the_context_goes", [](chain& c) { chain::destroy(c.second); }, true);
}

BOOST_AUTO_TEST_SUITE_END()
