//! What holds for every input of text files where its settings say nothing.

use aqueduct_model::ByteSize;

pub(crate) fn utf8() -> String {
    "utf-8".to_owned()
}

pub(crate) fn infer_rows() -> usize {
    1_000
}

pub(crate) fn max_line_bytes() -> ByteSize {
    ByteSize(16 << 20)
}

pub(crate) fn max_decompressed_bytes() -> ByteSize {
    ByteSize(1 << 40)
}

pub(crate) fn max_files() -> usize {
    10_000
}
