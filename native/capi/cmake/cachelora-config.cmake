# find_package(cachelora) gives two targets:
#
#   cachelora::cachelora   the shared library
#   cachelora::static      the static library, with what it needs of the system
#
# Everything is found from this file's own place, so that an installed tree may be moved.

get_filename_component(cachelora_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
foreach(file include/cachelora.h lib/libcachelora.so.1 lib/libcachelora.a)
  if(NOT EXISTS "${cachelora_PREFIX}/${file}")
    set(cachelora_FOUND FALSE)
    set(cachelora_NOT_FOUND_MESSAGE
        "${cachelora_PREFIX}/${file} is missing; install cachelora again: make install PREFIX=DIR")
    return()
  endif()
endforeach()

include(CMakeFindDependencyMacro)
find_dependency(Threads)

if(NOT TARGET cachelora::cachelora)
  add_library(cachelora::cachelora SHARED IMPORTED)
  set_target_properties(cachelora::cachelora PROPERTIES
    IMPORTED_LOCATION "${cachelora_PREFIX}/lib/libcachelora.so.1"
    IMPORTED_SONAME libcachelora.so.1
    INTERFACE_INCLUDE_DIRECTORIES "${cachelora_PREFIX}/include")

  add_library(cachelora::static STATIC IMPORTED)
  set_target_properties(cachelora::static PROPERTIES
    IMPORTED_LOCATION "${cachelora_PREFIX}/lib/libcachelora.a"
    INTERFACE_INCLUDE_DIRECTORIES "${cachelora_PREFIX}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()
