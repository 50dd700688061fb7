// Boost.Redis, compiled once for a program that does not do so elsewhere.

#include <boost/redis/src.hpp>
