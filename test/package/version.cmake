# What repeats the version in other words than version.hpp says the same.
#
#   -Dsource=DIR -Dversion=X.Y.Z

cmake_minimum_required(VERSION 3.25)

string(REGEX MATCH "^[0-9]+\\.[0-9]+" minor "${version}")

# expect(<file> <what comes before the version> <version>): at least once in the file, and nowhere with another version
function(expect file before expected)
    file(READ ${source}/${file} text)
    string(REGEX MATCHALL "${before}[0-9][0-9.]*" found "${text}")
    if(NOT found)
        message(SEND_ERROR "${file} does not say which version it is about: there is no match of ${before}")
    endif()
    foreach(match IN LISTS found)
        string(REGEX REPLACE "^.*[^0-9.]" "" stated "${match}")
        string(REGEX REPLACE "\\.$" "" stated "${stated}")
        if(NOT stated STREQUAL expected)
            message(SEND_ERROR "${file} states version ${stated}, not ${expected}: ${match}")
        endif()
    endforeach()
endfunction()

expect(packaging/vcpkg/asio-semaphore/vcpkg.json "\"version\": \"" ${version})
expect(.github/ISSUE_TEMPLATE/bug.yml "placeholder: " ${version})

# Of the releases in the changelog the newest comes first.
file(STRINGS ${source}/CHANGELOG.md releases REGEX "^## [0-9]")
list(GET releases 0 newest)
if(NOT newest MATCHES "^## ${version} ")
    message(SEND_ERROR "the newest release in CHANGELOG.md is \"${newest}\", not ${version}")
endif()

# Every find_package that asks for a version, in what users read and in the consumers of the tests.
file(GLOB_RECURSE files RELATIVE ${source} ${source}/doc/*.md ${source}/test/package/CMakeLists.txt)
foreach(file IN ITEMS README.md CHANGELOG.md LISTS files)
    file(READ ${source}/${file} text)
    if(text MATCHES "find_package\\(asio_semaphore [0-9]")
        expect(${file} "find_package\\(asio_semaphore " ${minor})
    endif()
    if(text MATCHES "GIT_TAG v[0-9]")
        expect(${file} "GIT_TAG v" ${version})
    endif()
endforeach()
