# Install rules: headers, libfp6llm.so with its links, libfp6llm.a if built, CMake package, pkg-config file, license.
# The tree can be moved after installation: both package files find their prefix from where they lie.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# What `pkg-config --static` adds.
set(pc_private_libs "")
set(libraries fp6llm)
if(FP6LLM_BUILD_STATIC)
  list(APPEND libraries fp6llm_archive)
  get_target_property(names fp6llm_archive INTERFACE_LINK_LIBRARIES)
  foreach(name ${names})
    string(APPEND pc_private_libs " -l${name}")
  endforeach()
endif()

install(TARGETS ${libraries} EXPORT fp6llmTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime
          NAMELINK_COMPONENT development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/capi/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT development)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fp6llm)
configure_package_config_file(${PROJECT_SOURCE_DIR}/capi/cmake/fp6llmConfig.cmake.in
  ${PROJECT_BINARY_DIR}/package/fp6llmConfig.cmake INSTALL_DESTINATION ${package_dir})
# Same major version, as the SONAME says.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/fp6llmConfigVersion.cmake
  COMPATIBILITY SameMajorVersion)
install(EXPORT fp6llmTargets NAMESPACE fp6llm:: DESTINATION ${package_dir} COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/package/fp6llmConfig.cmake
              ${PROJECT_BINARY_DIR}/package/fp6llmConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT development)

# Directories as the .pc file writes them: relative to itself unless the packager made them absolute.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
  file(RELATIVE_PATH pc_prefix /${pkgconfig_dir} /)
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_prefix}")
endif()
foreach(dir INCLUDE LIB)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${dir}DIR})
    set(pc_${dir}DIR ${CMAKE_INSTALL_${dir}DIR})
  else()
    set(pc_${dir}DIR "\${prefix}/${CMAKE_INSTALL_${dir}DIR}")
  endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/capi/cmake/fp6llm.pc.in
  ${PROJECT_BINARY_DIR}/package/fp6llm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/fp6llm.pc DESTINATION ${pkgconfig_dir}
  COMPONENT development)
