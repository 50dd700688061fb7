// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/sequences_limiter.hpp>
#include <model/sequences_runs.hpp>

#include <boost/test/unit_test.hpp>

using boost::unit_test::precondition;
using sequences::limiter_driver;

BOOST_AUTO_TEST_SUITE(model_sequences_limiter)

BOOST_AUTO_TEST_CASE(
    the_given_sequence_agrees_with_the_model, *precondition(sequences::a_sequence_is_given)) {
    sequences::run_given<limiter_driver>();
}

BOOST_AUTO_TEST_CASE(
    the_corpus_agrees_with_the_model, *precondition(sequences::no_sequence_is_given)) {
    sequences::run_corpus<limiter_driver>(ASIO_SEMAPHORE_LIMITER_SEQUENCES_CORPUS);
}

BOOST_AUTO_TEST_CASE(
    random_sequences_agree_with_the_model, *precondition(sequences::no_sequence_is_given)) {
    sequences::run_random<limiter_driver>();
}

BOOST_AUTO_TEST_SUITE_END()
