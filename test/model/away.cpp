// Operations that have gone on to executors elsewhere, and a context that ends meanwhile.

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

/// A semaphore of which so many operations are away. Each thread does something with one reference.
class abroad final : public scenario {
public:
    using body = std::function<void(abroad&, state_type&)>;

    abroad(std::size_t operations, std::vector<body> bodies) :
        bodies_(std::move(bodies)), registry_(new registry_type) {
        alive = 0;
        const state_pointer state(new state_type(1, 10, registry_), false);
        references_.assign(bodies_.size(), state);
        while (operations-- > 0)
            leave(*state);
    }
    ~abroad() override { alive = 0; }

    std::size_t threads() const override { return bodies_.size(); }

    void run(std::size_t thread) override {
        const state_pointer own = std::move(references_[thread]);
        bodies_[thread](*this, *own);
    }

    void end() override {
        if (alive != 0)
            fail("nobody is away, and the executor is kept busy");
        shut_down();
        registry_.reset();
    }

    /// As the Asio layer does it, on the semaphore's executor.
    void leave(state_type& state) {
        if (state.go_away())
            state.keep(*new keeper(*this));
        ++away_;
        if (context_alive_ && alive == 0)
            fail("the executor may run out of work");
    }

    void come_back(state_type& state) {
        --away_;
        state.come_back();
    }

    void shut_down() {
        shutting_ = true; // who is away then is left alone
        registry_->shutdown();
        scheduler::get().point(access::write, &context_alive_, "end of the context");
        scheduler::get().trace_value(0);
        context_alive_ = false;
        if (alive != 0)
            fail("the executor is kept busy beyond the end of its context");
    }

private:
    struct keeper final : away_keeper {
        explicit keeper(abroad& a) : all(a) { ++alive; }

        void end() noexcept override {
            scheduler::get().point(access::read, &all.context_alive_, "work ends");
            scheduler::get().trace_value(all.context_alive_);
            if (!all.context_alive_)
                fail("work ends on an executor whose context is gone");
            if (alive == 1 && all.away_ > 0 && !all.shutting_)
                fail("the executor may run out of work");
            --alive;
            delete this;
        }

        abroad& all;
    };

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    static inline int alive = 0; // keepers

    std::vector<body> bodies_;
    boost::intrusive_ptr<registry_type> registry_;
    std::vector<state_pointer> references_; // one for each thread
    std::size_t away_ = 0;
    bool context_alive_ = true;
    bool shutting_ = false;
};

void explore(
    const std::string& title, std::size_t operations, const std::vector<abroad::body>& bodies) {
    exploration all;
    all.run(
        "away:" + title, {bound(any_number, 1)},
        [&] { return std::make_unique<abroad>(operations, bodies); },
        "  operations are away; the threads: " + title);
}

void returns(abroad& a, state_type& s) {
    a.come_back(s);
}
void leaves_and_returns(abroad& a, state_type& s) {
    a.leave(s);
    a.come_back(s);
}
void shuts_down(abroad& a, state_type&) {
    a.shut_down();
}
void gives_back(abroad&, state_type& s) {
    s.release(1);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_away)

BOOST_AUTO_TEST_CASE(the_context_ends_while_the_last_comes_back) {
    explore("returns|shutdown", 1, {returns, shuts_down});
}

BOOST_AUTO_TEST_CASE(the_context_ends_while_one_of_two_comes_back) {
    explore(
        "returns|shutdown,_another_stays", 2,
        {[](abroad& a, state_type& s) {
             a.come_back(s);
             a.come_back(s);
         },
         shuts_down});
}

BOOST_AUTO_TEST_CASE(the_context_ends_while_two_come_back) {
    explore("returns|returns|shutdown", 2, {returns, returns, shuts_down});
}

BOOST_AUTO_TEST_CASE(one_goes_away_while_the_last_comes_back) {
    explore("returns|leaves_and_returns", 1, {returns, leaves_and_returns});
}

BOOST_AUTO_TEST_CASE(two_go_away_at_once) {
    explore("leaves_and_returns|leaves_and_returns", 0, {leaves_and_returns, leaves_and_returns});
}

BOOST_AUTO_TEST_CASE(permits_come_back_meanwhile) {
    explore("returns|release|shutdown", 1, {returns, gives_back, shuts_down});
}

BOOST_AUTO_TEST_SUITE_END()
