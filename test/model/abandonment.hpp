#pragma once

// Programs that are stopped after 0, 1, 2 … handlers and whose context is then destroyed.

#include <asio_semaphore/async_semaphore.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

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

/// What handlers carry: it is counted, and may own the semaphore.
class witness {
public:
    inline static int alive = 0;

    explicit witness(std::shared_ptr<async_semaphore> semaphore) noexcept :
        semaphore_(std::move(semaphore)) {
        ++alive;
    }
    witness(const witness& other) noexcept : semaphore_(other.semaphore_) { ++alive; }
    witness(witness&& other) noexcept : semaphore_(std::move(other.semaphore_)) { ++alive; }
    witness& operator=(const witness&) = delete;
    ~witness() { --alive; }

private:
    std::shared_ptr<async_semaphore> semaphore_;
};

/// Who keeps the semaphore alive, and until when.
enum class owner {
    program,      ///< it outlives the context
    handlers,     ///< it dies with the last handler that is left
    until_midway, ///< a handler destroys it while others wait
};
inline constexpr const char* owner_names[] = {"the program", "the handlers", "a handler"};

class world {
public:
    static constexpr std::ptrdiff_t initial = 3;

    explicit world(owner o) : owner_(o) {
        context.emplace(1);
        strand.emplace(context->get_executor());
        semaphore = std::make_shared<async_semaphore>(*context, initial);
        for (auto& s : signals)
            s.emplace();
    }

    asio::io_context& io() { return *context; }
    async_semaphore& sem() { return *semaphore; }
    witness carried() const { return witness(owner_ == owner::handlers ? semaphore : nullptr); }

    /// What a program does with permits: a function that runs later gives them back.
    void has(permit p) {
        if (p)
            asio::post(*context, [p = std::move(p)] {});
    }
    void has(std::ptrdiff_t n) {
        by_hand += n;
        asio::post(*context, [this, n] {
            if (const auto s = weak.lock()) {
                by_hand -= n;
                s->release(n);
            }
        });
    }

    std::optional<asio::io_context> context;
    std::optional<asio::strand<asio::io_context::executor_type>> strand;
    std::shared_ptr<async_semaphore> semaphore;
    std::weak_ptr<async_semaphore> weak;
    std::ptrdiff_t by_hand = 0;
    bool counts = true; // by_hand is true
    std::optional<asio::cancellation_signal> signals[3];
    std::vector<std::function<void()>> afterwards; // when the context is gone

private:
    owner owner_;
};

/// Takes what any operation on semaphores completes with.
class finisher {
public:
    finisher(world& w, std::ptrdiff_t n) : world_(&w), n_(n), witness_(w.carried()) {}

    void operator()(error_code ec) {
        if (!ec)
            world_->has(n_);
    }
    void operator()(error_code ec, permit p) {
        BOOST_TEST(p.count() == (ec ? 0 : n_));
        world_->has(std::move(p));
    }

private:
    world* world_;
    std::ptrdiff_t n_;
    witness witness_;
};

/// Stops a program after every number of its handlers; returns how many it has at most.
template <typename Program>
int stop_after_every_handler(const std::string& name, Program program) {
    int most = 0;
    for (const owner o : {owner::program, owner::handlers, owner::until_midway}) {
        for (int k = 0;; ++k) {
            BOOST_TEST_INFO_SCOPE(
                name << ", stopped after " << k << " handlers; the semaphore is owned by "
                     << owner_names[static_cast<int>(o)]);
            int ran = 0;
            {
                world w(o);
                w.weak = w.semaphore;
                program(w);
                // Things that happen while operations wait.
                asio::post(w.io(), [&w] { w.signals[0]->emit(asio::cancellation_type::total); });
                asio::post(w.io(), [&w] { w.signals[1].reset(); });
                asio::post(w.io(), [&w, o] {
                    if (o == owner::until_midway)
                        w.semaphore.reset();
                });
                for (int i = 0; i < 30; ++i) // time passes
                    asio::post(w.io(), [i, &w, c = w.carried()] {
                        const auto s = w.weak.lock();
                        if (i == 28 && s)
                            s->cancel();
                        if (i == 29 && s)
                            s->close();
                    });
                if (o == owner::handlers)
                    w.semaphore.reset();
                while (ran < k && w.context->poll_one() != 0) {
                    w.context->restart();
                    ++ran;
                }
                w.strand.reset();
                w.context.reset();
                for (auto& f : w.afterwards)
                    f();
                w.afterwards.clear();
                if (w.semaphore && w.counts) {
                    BOOST_TEST(w.sem().available() + w.by_hand == w.initial);
                    BOOST_TEST(w.sem().waiting() == 0u);
                }
            }
            BOOST_REQUIRE(witness::alive == 0);
            most = std::max(most, ran);
            if (ran < k)
                break;
            BOOST_REQUIRE(k < 1000);
        }
    }
    BOOST_TEST(most > 33);
    return most;
}

} // namespace abandonment
