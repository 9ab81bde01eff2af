# The CUDA toolkit, where there is one: its header cuda.h for the platform layer and nvcc for kernels. No library of
# it is ever linked. Without it the build goes on: platform/no_cuda stands in, and images of kernels are empty.
option(SPILLWAY_CUDA "Build for NVIDIA GPUs where the CUDA toolkit 12.8 or newer is found" ON)
set(SPILLWAY_CUDA_INCLUDE "")
set(SPILLWAY_NVCC "")
if(SPILLWAY_CUDA)
  set(toolkit HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda)
  find_path(CUDA_HEADER_FOLDER cuda.h ${toolkit} PATH_SUFFIXES include)
  find_program(CUDA_COMPILER nvcc ${toolkit} PATH_SUFFIXES bin)
  set(version 0)
  if(CUDA_HEADER_FOLDER)
    file(STRINGS ${CUDA_HEADER_FOLDER}/cuda.h version REGEX "^#define CUDA_VERSION")
    string(REGEX MATCH "[0-9]+" version "${version}")
  endif()
  if(version GREATER_EQUAL 12080)
    set(SPILLWAY_CUDA_INCLUDE ${CUDA_HEADER_FOLDER})
    if(CUDA_COMPILER)
      set(SPILLWAY_NVCC ${CUDA_COMPILER})
    endif()
  endif()
endif()

# spillway_kernels(TARGET FILE.cu...): compiles each file for the GPUs that we know and, as PTX, for later ones, and
# puts the image into the target as the function spillway::images::<name of the file>(). Its std::span is empty where
# there is no nvcc.
function(spillway_kernels target)
  foreach(source ${ARGN})
    cmake_path(GET source STEM name)
    set(image ${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin)
    set(holder ${CMAKE_CURRENT_BINARY_DIR}/${name}_image.cpp)
    if(SPILLWAY_NVCC)
      add_custom_command(OUTPUT ${image}
        COMMAND ${SPILLWAY_NVCC} -std=c++20 -O3 --expt-relaxed-constexpr -I ${CMAKE_SOURCE_DIR}/src
          -gencode arch=compute_80,code=sm_80 -gencode "arch=compute_90,code=[sm_90,compute_90]"
          -MD -MF ${image}.d -fatbin -o ${image} ${CMAKE_CURRENT_SOURCE_DIR}/${source}
        DEPENDS ${source} DEPFILE ${image}.d VERBATIM COMMENT "Compiling kernels ${source}")
    else()
      file(TOUCH ${image})
    endif()
    configure_file(${CMAKE_SOURCE_DIR}/src/image.cpp.in ${holder} @ONLY)
    set_source_files_properties(${holder} PROPERTIES OBJECT_DEPENDS ${image})
    target_sources(${target} PRIVATE ${holder})
  endforeach()
endfunction()
