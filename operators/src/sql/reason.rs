//! Why a row cannot be computed, without its values.

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// The reason for people. DataFusion's own text quotes cell values, so only the kind of error is told.
pub(super) fn reason(error: &DataFusionError) -> &'static str {
    match error.find_root() {
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => "division by zero",
            ArrowError::ArithmeticOverflow(_) => "a number is too large for its type",
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "a value cannot be converted to the type asked for",
            ArrowError::InvalidArgumentError(_) => "a function does not accept a value",
            _ => "a value cannot be computed",
        },
        DataFusionError::Execution(_) => "a function does not accept a value",
        DataFusionError::ResourcesExhausted(_) => "a value takes too much memory",
        _ => "a value cannot be computed",
    }
}
