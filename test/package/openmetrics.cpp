// Prints the metrics of a limiter, with labels that need escaping. With any argument, prints the
// metrics of an unused limiter, without labels.

#include <asio_semaphore/limiter/openmetrics.hpp>

#include "limiter/metrics.hpp"

#include <iostream>

int main(int count, char**) {
    if (count > 1) {
        asio_semaphore::write_openmetrics(std::cout, {}, "api");
    } else {
        asio_semaphore::write_openmetrics(
            std::cout, test::distinct_statistics(), "api",
            {{"path", "C:\\new \"x\"\n}"}, {"zone", "\xc3\xa4"}});
    }
    return std::cout.flush() ? 0 : 1;
}
