//! What is said of a column in a line.

use super::column::Column;
use super::forms::Form;
use super::number;
use crate::hidden::visible;

/// `Utf8, 155 different, null in 84 of 2,900 rows`.
pub fn facts(column: &Column) -> String {
    let values = &column.values;
    let mut parts = vec![visible(&column.data_type)];
    if values.values > 0 {
        let least = if values.is_whole { "" } else { "at least " };
        parts.push(format!("{least}{} different", number(values.different())));
    }
    if values.nulls > 0 {
        parts.push(format!("null in {} of {} rows", number(values.nulls), number(values.rows)));
    }
    let empty = values.forms.of(Form::Empty);
    if empty > 0 {
        parts.push(format!("empty in {}", number(empty)));
    }
    if column.files_without > 0 {
        parts.push(format!("{} of the opened files lack it", number(column.files_without)));
    }
    parts.join(", ")
}
