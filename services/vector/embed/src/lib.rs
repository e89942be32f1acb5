//! Texts as vectors by a small language model.
