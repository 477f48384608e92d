//! The structs against C's: the file that FP6LLM_LAYOUT names holds what a C compiler says
//! (tests/bindings/generate_layout_probe.py); every struct and field of it must be here, in its place.

mod fields;

#[test]
fn structs_have_the_layout_of_c() {
    let Ok(path) = std::env::var("FP6LLM_LAYOUT") else {
        eprintln!(
            "skipped: FP6LLM_LAYOUT names no file with C's layout; CTest's bindings.rust does"
        );
        return;
    };
    let text = std::fs::read_to_string(&path).expect("the file that FP6LLM_LAYOUT names");
    let expected: Vec<&str> = text.lines().collect();
    assert!(expected.len() > 7, "{path} is empty");
    assert_eq!(fields::layout(), expected);
}
