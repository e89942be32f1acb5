//! Writes the foreign side of the interface from the built library.

fn main() {
    uniffi::uniffi_bindgen_main();
}
