// Compiles Boost.Redis for programs that do not compile it elsewhere.

#include <boost/redis/src.hpp>
