// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/sequences.hpp>
#include <model/sequences_runs.hpp>

#include <boost/test/unit_test.hpp>

using boost::unit_test::precondition;
using sequences::driver;

BOOST_AUTO_TEST_SUITE(model_sequences)

BOOST_AUTO_TEST_CASE(
    the_given_sequence_agrees_with_the_model, *precondition(sequences::a_sequence_is_given)) {
    sequences::run_given<driver>();
}

BOOST_AUTO_TEST_CASE(
    the_corpus_agrees_with_the_model, *precondition(sequences::no_sequence_is_given)) {
    sequences::run_corpus<driver>(ASIO_SEMAPHORE_SEQUENCES_CORPUS);
}

BOOST_AUTO_TEST_CASE(
    random_sequences_agree_with_the_model, *precondition(sequences::no_sequence_is_given)) {
    sequences::run_random<driver>();
}

BOOST_AUTO_TEST_SUITE_END()
