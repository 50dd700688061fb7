#include "limiters.hpp"
#include "suite.hpp"

#include <string>

namespace bench {

namespace {

template <typename Executor>
void add_on(suite& s) {
    using ours = plain_limiter<Executor>;
    using by_hand = priority_queue_limiter<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    s.add({"L1", ours::name, executor, 0, "B0", [](long n) {
               return run_chains<ours>(n, 1, 1);
           }});
    s.add({"L1", by_hand::name, executor, 0, "B0", [](long n) {
               return run_chains<by_hand>(n, 1, 1);
           }});
    s.add({"L1 coroutine", ours::name, executor, 0, "B2", [](long n) {
               return run_coroutines<ours>(n, 1, 1, asio::deferred);
           }});
    s.add({"L2", ours::name, executor, 0, "CAS", [](long n) {
               return run_admissions<ours>(n, roomy_options());
           }});
    s.add({"L2 gradient_limit", ours::name, executor, 0, "CAS", [](long n) {
               return run_admissions<ours>(n, learning_options());
           }});
    s.add({"L3", ours::name, executor, 0, "B0K", [](long n) {
               return run_chains<ours>(n, 1000, 1);
           }});
    s.add({"L3", by_hand::name, executor, 0, "B0K", [](long n) {
               return run_chains<by_hand>(n, 1000, 1);
           }});
    s.add({"L3 keys", ours::name, executor, 0, "B0K", [](long n) {
               return run_keyed_chains<ours>(n, 1000, 1);
           }});
    s.add({"L4", ours::name, executor, 0, "B0", [](long n) {
               return run_refusals<ours>(n);
           }});
    if (!second_thread::exists())
        return;
    for (const int limit : {1, 10}) {
        const std::string row = "L7/" + std::to_string(limit);
        s.add({row, ours::name, executor, 0, "B6", [limit](long n) {
                   return run_chains<ours>(n, 1000, limit, 2);
               }});
        s.add({row, by_hand::name, executor, 0, "B6", [limit](long n) {
                   return run_chains<by_hand>(n, 1000, limit, 2);
               }});
    }
}

} // namespace

void add_limiters(suite& s) {
    add_on<asio::any_io_executor>(s);
}

} // namespace bench
