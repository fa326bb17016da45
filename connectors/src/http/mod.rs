//! Services over HTTP: `HttpInput` reads their pages, `HttpWriter` calls them with rows; one client serves both.

mod client;
mod input;
mod json;
#[cfg(test)]
mod test_service;
mod writer;

pub(crate) use input::ENTRY as INPUT;
pub(crate) use writer::ENTRY as WRITER;
