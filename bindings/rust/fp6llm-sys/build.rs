//! Finds libfp6llm: the folder that FP6LLM_LIB_DIR names, else what pkg-config says.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=FP6LLM_LIB_DIR");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    if env::var_os("CARGO_FEATURE_DLOPEN").is_some() {
        return;
    }
    if let Ok(folder) = env::var("FP6LLM_LIB_DIR") {
        println!("cargo:rustc-link-search=native={folder}");
    } else {
        let said = Command::new("pkg-config")
            .args(["--libs-only-L", "fp6llm"])
            .output();
        match said {
            Ok(output) if output.status.success() => {
                for option in String::from_utf8_lossy(&output.stdout).split_whitespace() {
                    println!(
                        "cargo:rustc-link-search=native={}",
                        option.trim_start_matches("-L")
                    );
                }
            }
            _ => panic!(
                "libfp6llm was not found: set FP6LLM_LIB_DIR to the folder of libfp6llm.so, make \
                 `pkg-config fp6llm` work (PKG_CONFIG_PATH), or use the feature `dlopen`"
            ),
        }
    }
    println!("cargo:rustc-link-lib=dylib=fp6llm");
}
