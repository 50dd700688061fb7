# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks that all files that repeat the version agree with version.hpp.
#
#   -Dsource=DIR -Dversion=X.Y.Z

cmake_minimum_required(VERSION 3.25)

string(REGEX MATCH "^[0-9]+\\.[0-9]+" minor "${version}")

# expect(<file> <regex before the version> <version>)
# The file must contain the version at least once after the regex, and no other version.
function(expect file before expected)
    file(READ ${source}/${file} text)
    string(REGEX MATCHALL "${before}[0-9][0-9.]*" found "${text}")
    if(NOT found)
        message(SEND_ERROR "${file} states no version: there is no match of ${before}")
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

# The newest release comes first in the changelog.
file(STRINGS ${source}/CHANGELOG.md releases REGEX "^## [0-9]")
list(GET releases 0 newest)
if(NOT newest MATCHES "^## ${version} ")
    message(SEND_ERROR "the newest release in CHANGELOG.md is \"${newest}\", not ${version}")
endif()

# Every find_package with a version, in the documentation and in the consumers of the tests.
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
