# What cpack packs: one .tar.gz of the whole installed tree, which can be unpacked anywhere, and two .deb:
# the library, named after its SONAME so that libraries of two ABIs can be installed side by side, and what
# building against it takes. `script/package` makes all of them.

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_VENDOR "The libfp6llm contributors")
set(CPACK_PACKAGE_CONTACT "The libfp6llm contributors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
string(TOLOWER ${CMAKE_SYSTEM_NAME} system)
set(CPACK_PACKAGE_FILE_NAME ${PROJECT_NAME}-${PROJECT_VERSION}-${system}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)

# Python's module, which is a component too, travels in a wheel.
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

set(library lib${PROJECT_NAME}${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${library})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "The shared library. It needs no CUDA: it finds a driver at run time.")
# In place of cpack's own, which ignore `dpkg --root`.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA
  ${CMAKE_CURRENT_LIST_DIR}/debian/postinst ${CMAKE_CURRENT_LIST_DIR}/debian/postrm)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME lib${PROJECT_NAME}-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library} (= ${PROJECT_VERSION}), libc6-dev")
if(FP6LLM_BUILD_STATIC)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS libstdc++-dev)  # for programs that link libfp6llm.a
endif()
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers for C and C++, static library, CMake package, pkg-config file.")

include(CPack)
