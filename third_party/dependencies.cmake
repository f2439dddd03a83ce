# SPDX-License-Identifier: Apache-2.0
# Each dependency as one imported target, with the oldest version that we have tried (see README.md here for why each is used).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(deflate REQUIRED IMPORTED_TARGET libdeflate>=1.14)

pkg_check_modules(h2o REQUIRED IMPORTED_TARGET libh2o-evloop>=0.13.5) # the .pc file counts sonames: this is 2.2.5
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3>=3.40.1)
pkg_check_modules(urcu REQUIRED IMPORTED_TARGET liburcu-qsbr>=0.13.2)
pkg_check_modules(urcu_cds REQUIRED IMPORTED_TARGET liburcu-cds>=0.13.2)
pkg_check_modules(curl REQUIRED IMPORTED_TARGET libcurl>=7.88.1)
pkg_check_modules(cares REQUIRED IMPORTED_TARGET libcares>=1.18.1)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(openssl_ssl REQUIRED IMPORTED_TARGET libssl>=3.0)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52.0)
pkg_check_modules(rabbitmq REQUIRED IMPORTED_TARGET librabbitmq>=0.11.0)
pkg_check_modules(yajl REQUIRED IMPORTED_TARGET yajl>=2.1.0)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson>=2.14)
find_path(http_parser_include http_parser.h REQUIRED) # it has no .pc file
find_library(http_parser_library http_parser REQUIRED)
add_library(penstock_http_parser INTERFACE)
target_include_directories(penstock_http_parser INTERFACE ${http_parser_include})
target_link_libraries(penstock_http_parser INTERFACE ${http_parser_library})
if(PENSTOCK_JEMALLOC)
  pkg_check_modules(jemalloc REQUIRED IMPORTED_TARGET jemalloc>=5.3.0)
endif()
if(PENSTOCK_TESTS)
  pkg_check_modules(criterion REQUIRED IMPORTED_TARGET criterion>=2.4.1)
endif()

# The evloop flavour of h2o needs its own defines; its headers are not clean under our warnings.
add_library(penstock_h2o INTERFACE)
target_link_libraries(penstock_h2o INTERFACE PkgConfig::h2o PkgConfig::openssl_ssl)
target_compile_definitions(penstock_h2o INTERFACE H2O_USE_LIBUV=0 H2O_USE_EPOLL=1)

# liburcu: the small inline functions are allowed to any licence; ThreadSanitizer needs them out of line.
add_library(penstock_urcu INTERFACE)
target_link_libraries(penstock_urcu INTERFACE PkgConfig::urcu_cds PkgConfig::urcu Threads::Threads)
if(NOT PENSTOCK_SANITIZE STREQUAL "thread")
  target_compile_definitions(penstock_urcu INTERFACE URCU_INLINE_SMALL_FUNCTIONS)
endif()
