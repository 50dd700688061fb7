# cmake -Dexample=<path> -Dexpected=<path> -Dreadme=<path> -P check_readme.cmake
# The code that the README shows is that of the example, which is compiled and run, and so is the output.
file(READ ${readme} text)
file(READ ${example} code)
string(FIND "${text}" "```cpp\n${code}```" place)
if(place EQUAL -1)
    message(FATAL_ERROR "${readme} does not show ${example} as it is")
endif()
file(READ ${expected} output)
string(FIND "${text}" "$ ./app\n${output}```" place)
if(place EQUAL -1)
    message(FATAL_ERROR "${readme} does not show what ${example} prints: ${output}")
endif()
