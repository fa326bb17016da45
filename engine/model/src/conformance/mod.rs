//! The suite that every source and sink runs against itself.
