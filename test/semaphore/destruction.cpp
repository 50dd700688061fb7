// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/deferred.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace {

using namespace test;

// A handler that runs an action when it is destroyed without having been called.
class last_words {
public:
    explicit last_words(std::function<void()> say) : say_(std::move(say)) {}
    last_words(last_words&& other) noexcept : say_(std::exchange(other.say_, nullptr)) {}
    last_words& operator=(last_words&&) = delete;
    ~last_words() {
        if (say_)
            say_();
    }
    void operator()(error_code, permit = {}) { say_ = nullptr; }

private:
    std::function<void()> say_;
};

struct destruction_fixture : fixture {
    std::optional<asio::io_context> doomed{std::in_place};
    std::optional<async_semaphore> semaphore;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_destruction, destruction_fixture)

BOOST_AUTO_TEST_CASE(the_destructor_aborts_waiters_whose_handlers_run_later) {
    semaphore.emplace(context, 1);
    operation first, second;
    semaphore->async_acquire(2, first.on_completion());
    semaphore->async_acquire_permit(second.on_completion());
    semaphore.reset();
    BOOST_TEST(first.pending());
    BOOST_TEST(second.pending());
    BOOST_TEST(!poll());
    BOOST_TEST(first.completed_with(aborted));
    BOOST_TEST(second.completed_with(aborted));
    BOOST_TEST(!second.held());
}

BOOST_AUTO_TEST_CASE(the_destructor_revokes_no_grant) {
    semaphore.emplace(context, 1);
    operation at_once, handed_over;
    semaphore->async_acquire_permit(at_once.on_completion());
    semaphore->async_acquire_permit(handed_over.on_completion());
    semaphore->release();
    semaphore.reset();
    poll();
    BOOST_TEST(at_once.granted());
    BOOST_TEST(handed_over.granted());
    BOOST_TEST(handed_over.held().count() == 1);
    handed_over.held().reset();
}

BOOST_AUTO_TEST_CASE(permits_outlive_the_semaphore_and_its_context) {
    semaphore.emplace(*doomed, 4);
    permit early = semaphore->try_acquire_permit(2), late = semaphore->try_acquire_permit(2);
    semaphore.reset();
    BOOST_TEST(early.count() == 2);
    early.reset();
    doomed.reset();
    BOOST_TEST(late.count() == 2);
    permit part = late.split(1);
    late.merge(std::move(part));
    late.reset();
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_that_starts_afterwards_is_aborted) {
    semaphore.emplace(context, 1);
    auto bare = semaphore->async_acquire(asio::deferred);
    auto owned = semaphore->async_acquire_permit(2, asio::deferred);
    semaphore.reset();
    operation first, second;
    std::move(bare)(first.on_completion());
    std::move(owned)(second.on_completion());
    BOOST_TEST(!first.called());
    poll();
    BOOST_TEST(first.completed_with(aborted));
    BOOST_TEST(second.completed_with(aborted));
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_of_a_closed_and_destroyed_semaphore_is_aborted) {
    semaphore.emplace(context, 1);
    auto lazy = semaphore->async_acquire(asio::deferred);
    semaphore->close();
    semaphore.reset();
    operation o;
    std::move(lazy)(o.on_completion());
    poll();
    BOOST_TEST(o.completed_with(aborted));
}

BOOST_AUTO_TEST_CASE(a_handler_may_destroy_its_semaphore_with_others_waiting) {
    semaphore.emplace(context, 0);
    operation second, third;
    bool destroyed = false;
    semaphore->async_acquire_permit([&](error_code ec, permit) {
        BOOST_TEST(!ec);
        semaphore.reset();
        destroyed = true;
    });
    semaphore->async_acquire(second.on_completion());
    semaphore->async_acquire(third.on_completion());
    semaphore->release();
    BOOST_TEST(!poll());
    BOOST_TEST(destroyed);
    BOOST_TEST(second.completed_with(aborted));
    BOOST_TEST(third.completed_with(aborted));
}

BOOST_AUTO_TEST_CASE(a_handler_may_own_its_semaphore) {
    auto owned = std::make_unique<async_semaphore>(context, 0);
    async_semaphore& owner = *owned;
    operation o;
    owner.async_acquire([owned = std::move(owned), h = o.on_completion()](error_code ec) mutable {
        owned.reset();
        std::move(h)(ec);
    });
    owner.release();
    poll();
    BOOST_TEST(o.granted());
}

BOOST_AUTO_TEST_CASE(a_destroyed_context_destroys_waiting_handlers_without_calling_them) {
    semaphore.emplace(*doomed, 1);
    operation head, follower;
    semaphore->async_acquire(2, head.on_completion());
    semaphore->async_acquire_permit(1, follower.on_completion());
    doomed->poll();
    doomed.reset();
    BOOST_TEST(head.abandoned());
    BOOST_TEST(follower.abandoned());
    BOOST_TEST(semaphore->waiting() == 0u);
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(permits_on_their_way_to_a_handler_come_back_when_the_context_is_destroyed) {
    semaphore.emplace(*doomed, 3);
    operation at_once, bare_at_once, handed_over, bare_handed_over;
    semaphore->async_acquire_permit(2, at_once.on_completion());
    semaphore->async_acquire(1, bare_at_once.on_completion());
    semaphore->async_acquire_permit(2, handed_over.on_completion());
    semaphore->async_acquire(1, bare_handed_over.on_completion());
    semaphore->release(3);
    BOOST_TEST(semaphore->available() == 0);
    doomed.reset();
    for (auto* o : {&at_once, &bare_at_once, &handed_over, &bare_handed_over})
        BOOST_TEST(o->abandoned());
    BOOST_TEST(semaphore->available() == 6);
}

BOOST_AUTO_TEST_CASE(aborted_and_closed_handlers_that_never_ran_are_destroyed_with_the_context) {
    semaphore.emplace(*doomed, 0);
    operation cancelled, refused;
    semaphore->async_acquire(cancelled.on_completion());
    semaphore->cancel();
    semaphore->close();
    semaphore->async_acquire(refused.on_completion());
    doomed.reset();
    BOOST_TEST(cancelled.abandoned());
    BOOST_TEST(refused.abandoned());
    BOOST_TEST(semaphore->available() == 0);
}

BOOST_AUTO_TEST_CASE(a_semaphore_may_outlive_its_context) {
    semaphore.emplace(*doomed, 2, 4);
    permit held = semaphore->try_acquire_permit();
    doomed.reset();
    held.reset();
    BOOST_TEST(semaphore->available() == 2);
    semaphore->release(2);
    BOOST_TEST(semaphore->available() == 4);
    BOOST_TEST(!semaphore->try_acquire());
    semaphore->reduce(1);
    BOOST_TEST(semaphore->cancel() == 0u);
    semaphore->close();
    BOOST_TEST(semaphore->available() == 3);
    async_semaphore moved(std::move(*semaphore));
    BOOST_TEST(moved.available() == 3);
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_that_owns_the_semaphore_is_destroyed_with_the_context) {
    auto owned = std::make_shared<async_semaphore>(*doomed, 0);
    const std::weak_ptr<async_semaphore> alive = owned;
    operation first, second;
    owned->async_acquire(
        [owned, h = first.on_completion()](error_code ec) mutable { std::move(h)(ec); });
    owned->async_acquire(
        [owned, h = second.on_completion()](error_code ec) mutable { std::move(h)(ec); });
    owned.reset();
    doomed.reset();
    BOOST_TEST(first.abandoned());
    BOOST_TEST(second.abandoned());
    BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_gives_its_permits_back_when_the_context_is_destroyed) {
    semaphore.emplace(*doomed, 1);
    async_semaphore other(*doomed, 1);
    operation waits_for_own, waits_for_other, waits_behind;
    // Each waiter holds the permit that the other one waits for.
    semaphore->async_acquire(
        2, [held = other.try_acquire_permit(),
            h = waits_for_own.on_completion()](error_code ec) mutable { std::move(h)(ec); });
    other.async_acquire(
        [held = permit(*semaphore, std::adopt_lock, 1),
         h = waits_for_other.on_completion()](error_code ec) mutable { std::move(h)(ec); });
    semaphore->reduce(1);
    semaphore->async_acquire(waits_behind.on_completion());
    doomed.reset();
    for (auto* o : {&waits_for_own, &waits_for_other, &waits_behind})
        BOOST_TEST(o->abandoned());
    BOOST_TEST(semaphore->available() == 1);
    BOOST_TEST(other.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_handler_destroyed_with_the_context_may_use_every_member_of_its_semaphore) {
    semaphore.emplace(*doomed, 0);
    operation waits_behind, too_late, none_too_late;
    bool said = false;
    semaphore->async_acquire(last_words([&] {
        semaphore->release(2);
        BOOST_TEST(!semaphore->try_acquire());
        semaphore->async_acquire(too_late.on_completion());
        semaphore->async_acquire(0, none_too_late.on_completion());
        semaphore->reduce(1);
        BOOST_TEST(semaphore->cancel() == 0u);
        semaphore->close();
        BOOST_TEST(semaphore->available() == 1);
        BOOST_TEST(semaphore->waiting() == 0u);
        said = true;
    }));
    semaphore->async_acquire(waits_behind.on_completion());
    doomed.reset();
    BOOST_TEST(said);
    BOOST_TEST(waits_behind.abandoned());
    BOOST_TEST(too_late.abandoned());
    BOOST_TEST(none_too_late.abandoned());
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(a_handler_destroyed_with_the_context_may_destroy_the_semaphore) {
    semaphore.emplace(*doomed, 0);
    operation waits_behind;
    semaphore->async_acquire(last_words([&] { semaphore.reset(); }));
    semaphore->async_acquire(waits_behind.on_completion());
    doomed.reset();
    BOOST_TEST(!semaphore.has_value());
    BOOST_TEST(waits_behind.abandoned());
}

BOOST_AUTO_TEST_CASE(a_granted_handler_destroyed_with_the_context_may_use_its_semaphore) {
    semaphore.emplace(*doomed, 0);
    operation behind;
    bool said = false;
    semaphore->async_acquire_permit(last_words([&] {
        (void)semaphore->try_acquire();
        semaphore->reduce(0);
        semaphore->cancel();
        said = true;
    }));
    semaphore->async_acquire(behind.on_completion());
    semaphore->release();
    doomed.reset();
    BOOST_TEST(said);
    BOOST_TEST(behind.abandoned());
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(an_operation_started_after_its_context_was_destroyed_is_dropped) {
    semaphore.emplace(*doomed, 1);
    auto fits = semaphore->async_acquire_permit(asio::deferred);
    auto none = semaphore->async_acquire_permit(0, asio::deferred);
    auto negative = semaphore->async_acquire_permit(-1, asio::deferred);
    operation destroyed[3];
    semaphore->async_acquire(2, last_words([&] {
                                 std::move(fits)(destroyed[0].on_completion());
                                 std::move(none)(destroyed[1].on_completion());
                                 std::move(negative)(destroyed[2].on_completion());
                             }));
    doomed.reset();
    for (const operation& o : destroyed)
        BOOST_TEST(o.abandoned());
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(a_semaphore_whose_context_was_destroyed_is_closed) {
    semaphore.emplace(*doomed, 2, 2);
    permit held = semaphore->try_acquire_permit();
    doomed.reset();
    BOOST_TEST(!semaphore->is_open());
    BOOST_TEST(!semaphore->try_acquire());
    held.reset();
    BOOST_TEST(semaphore->available() == 2);
}

BOOST_AUTO_TEST_CASE(a_destroyed_context_does_not_affect_semaphores_of_other_contexts) {
    semaphore.emplace(*doomed, 0);
    async_semaphore other(context, 0);
    operation of_doomed, of_other;
    semaphore->async_acquire([held = permit(other, std::adopt_lock), h = of_doomed.on_completion()](
                                 error_code ec) mutable { std::move(h)(ec); });
    other.async_acquire(of_other.on_completion());
    doomed.reset();
    BOOST_TEST(of_doomed.abandoned());
    poll();
    BOOST_TEST(of_other.granted());
    BOOST_TEST(other.available() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
