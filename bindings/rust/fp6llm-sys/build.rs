//! Finds libfp6llm, in this order: the folder that the environment names, what pkg-config knows, and, with
//! the feature `vendored`, a static build of the C++ sources. Tells dependent build scripts where it is:
//! DEP_FP6LLM_INCLUDE (the folder of fp6llm/fp6llm.h, where known) and DEP_FP6LLM_LIB.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

/// What links a program with the C++ of a static libfp6llm.
const STATIC_NEEDS: [&str; 4] = ["stdc++", "m", "pthread", "dl"];

fn main() {
    for name in [
        "FP6LLM_LIB_DIR",
        "FP6LLM_INCLUDE_DIR",
        "PKG_CONFIG",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_LIBDIR",
        "PKG_CONFIG_SYSROOT_DIR",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    // With `dlopen` the library is found when the program runs.
    if env::var_os("CARGO_FEATURE_DLOPEN").is_some() {
        return;
    }
    if from_environment() {
        return;
    }
    let pkg_config_said = match from_pkg_config() {
        Ok(()) => return,
        Err(said) => said,
    };
    if env::var_os("CARGO_FEATURE_VENDORED").is_some() {
        return build_vendored();
    }
    fail(&format!(
        "libfp6llm was not found. Any of these helps:\n\
         \x20 - set FP6LLM_LIB_DIR to the folder of libfp6llm.so (and FP6LLM_INCLUDE_DIR to that of fp6llm/)\n\
         \x20 - make `pkg-config fp6llm` work: PKG_CONFIG_PATH=<prefix>/lib/pkgconfig\n\
         \x20 - the feature `vendored` builds the library from source, with CMake and a C++17 compiler\n\
         \x20 - the feature `dlopen` finds the library when the program runs\n\
         FP6LLM_LIB_DIR is not set; {pkg_config_said}"
    ));
}

fn fail(message: &str) -> ! {
    eprintln!("fp6llm-sys: {message}");
    exit(1);
}

fn tell(include: Option<&Path>, lib: &Path) {
    if let Some(include) = include {
        println!("cargo:include={}", include.display());
    }
    println!("cargo:lib={}", lib.display());
}

fn link_static(libraries: &[&str]) {
    for library in libraries {
        println!("cargo:rustc-link-lib=static={library}");
    }
    for library in STATIC_NEEDS {
        println!("cargo:rustc-link-lib={library}");
    }
}

fn from_environment() -> bool {
    let Some(lib) = env::var_os("FP6LLM_LIB_DIR").map(PathBuf::from) else {
        return false;
    };
    let shared = lib.join("libfp6llm.so").exists();
    if !shared && !lib.join("libfp6llm.a").exists() {
        fail(&format!(
            "FP6LLM_LIB_DIR={} holds neither libfp6llm.so nor libfp6llm.a",
            lib.display()
        ));
    }
    let include = env::var_os("FP6LLM_INCLUDE_DIR").map(PathBuf::from);
    if let Some(include) = &include {
        if !include.join("fp6llm/fp6llm.h").exists() {
            fail(&format!(
                "FP6LLM_INCLUDE_DIR={} holds no fp6llm/fp6llm.h",
                include.display()
            ));
        }
    }
    let beside = lib.parent().map(|prefix| prefix.join("include"));
    let include = include.or(beside.filter(|folder| folder.join("fp6llm/fp6llm.h").exists()));
    println!("cargo:rustc-link-search=native={}", lib.display());
    if shared {
        println!("cargo:rustc-link-lib=dylib=fp6llm");
    } else {
        link_static(&["fp6llm"]);
    }
    tell(include.as_deref(), &lib);
    true
}

fn from_pkg_config() -> Result<(), String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or("pkg-config".into());
    let ask = |options: &[&str]| -> Result<String, String> {
        let name = program.to_string_lossy();
        match Command::new(&program).args(options).output() {
            Err(error) => Err(format!("{name} could not be run: {error}")),
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(output) => Err(format!(
                "{name} said: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
        }
    };
    // Additions raise the minor version; breaks of the ABI the major one, with the SONAME.
    ask(&["--print-errors", "--exists", "fp6llm >= 0.1", "fp6llm < 1"])?;
    for option in ask(&["--libs", "fp6llm"])?.split_whitespace() {
        if let Some(folder) = option.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={folder}");
        } else if let Some(library) = option.strip_prefix("-l") {
            println!("cargo:rustc-link-lib={library}");
        }
    }
    let include = ask(&["--variable=includedir", "fp6llm"])?;
    tell(
        Some(Path::new(&include)),
        Path::new(&ask(&["--variable=libdir", "fp6llm"])?),
    );
    Ok(())
}

/// A static library of `vendor/`: links to the repository's folders, their contents in a packaged crate.
fn build_vendored() {
    let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("vendor");
    let build = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("build");
    if !sources.join("core/CMakeLists.txt").exists() {
        fail(&format!(
            "the feature `vendored` needs the C++ sources, which {} does not hold: use the packaged crate or a \
             checkout of the repository with its symbolic links",
            sources.display()
        ));
    }
    for name in ["CMAKE", "CC", "CXX", "CUDACXX", "FP6LLM_ENABLE_CUDA"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    for folder in ["core", "capi", "cmake", "CMakeLists.txt"] {
        println!("cargo:rerun-if-changed=vendor/{folder}");
    }
    let cmake = env::var_os("CMAKE").unwrap_or("cmake".into());
    let cuda = env::var("FP6LLM_ENABLE_CUDA").unwrap_or("AUTO".into());
    let run = |command: &mut Command| match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building libfp6llm: {command:?}: {status}")),
        Err(error) => fail(&format!(
            "building libfp6llm takes CMake 3.25 or newer: {command:?}: {error}"
        )),
    };
    run(Command::new(&cmake)
        .arg("-S")
        .arg(&sources)
        .arg("-B")
        .arg(&build)
        .args(["-DCMAKE_BUILD_TYPE=Release", "-DFP6LLM_BUILD_TESTS=OFF"])
        .args(["-DFP6LLM_BUILD_BENCH=OFF", "-DFP6LLM_BUILD_EXAMPLES=OFF"])
        .arg("-DFP6LLM_INSTALL=OFF")
        .arg(format!("-DFP6LLM_ENABLE_CUDA={cuda}")));
    run(Command::new(&cmake)
        .arg("--build")
        .arg(&build)
        .args(["--target", "fp6llm_static", "--parallel"])
        .arg(env::var("NUM_JOBS").unwrap_or("2".into())));
    let lib = build.join("lib");
    println!("cargo:rustc-link-search=native={}", lib.display());
    link_static(&["fp6llm_static", "fp6llm_core"]);
    tell(Some(&sources.join("capi/include")), &lib);
}
