# cmake -Dexample=<path> -Dreadme=<path> -P check_readme.cmake
# The code that the README shows is that of the example, which is compiled and run.
file(READ ${example} code)
file(READ ${readme} text)
string(FIND "${text}" "```cpp\n${code}```" place)
if(place EQUAL -1)
    message(FATAL_ERROR "${readme} does not show ${example} as it is")
endif()
