//! Finds a mapped column in a file's schema and takes its values out of decoded batches.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBufferBuilder, ListArray, StringArray, StringBuilder,
    StructArray, UInt64Array, make_array, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::schema::types::SchemaDescriptor;
use serde_json::Value;

use super::ScanError;
use crate::config::raw::Missing;
use crate::config::{ColumnPlan, ColumnSource, shape};
use crate::snapshot::{Constant, Partition, TableField, TableSchema};

/// A mapped column, found in one file.
#[derive(Clone, Debug)]
pub struct Bound {
    pub plan: ColumnPlan,
    expr: Expr,
    /// Parquet leaf columns that must be decoded.
    pub leaves: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Expr {
    /// The value that all rows of the file have: that of a partition, a default, or null where the file
    /// lacks the column and may. Of a type where somebody says which; else it is text.
    Constant(Constant, Option<DataType>),
    Path(Vec<String>),
    /// A column that the table has since given a type in which this file does not write it.
    Widened(Vec<String>, DataType),
    Concat(Vec<Part>),
    Entry {
        path: Vec<String>,
        name: String,
        equals: String,
        value: String,
    },
    Json {
        path: Vec<String>,
        pointer: Vec<String>,
    },
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Column(Box<Expr>),
}

/// What a file offers: its schema, its leaves and its partition values; and the table that it is of, which
/// says what its columns are called.
pub struct FileShape<'a> {
    pub file: &'a str,
    pub schema: &'a Schema,
    pub leaves: &'a SchemaDescriptor,
    pub partitions: &'a [Partition],
    pub table: Option<&'a TableSchema>,
}

impl FileShape<'_> {
    /// Path segments of a column: the whole text as one name first, then its dotted parts.
    fn resolve(&self, path: &str) -> Option<Vec<String>> {
        if self.schema.field_with_name(path).is_ok() {
            return Some(vec![path.to_string()]);
        }
        let segments: Vec<String> = path.split('.').map(str::to_string).collect();
        let mut fields: Vec<&Field> = self.schema.fields().iter().map(AsRef::as_ref).collect();
        for segment in &segments {
            let field = fields.iter().find(|f| f.name() == segment)?;
            fields = match field.data_type() {
                DataType::Struct(children) => children.iter().map(AsRef::as_ref).collect(),
                _ => Vec::new(),
            };
        }
        Some(segments)
    }

    fn partition(&self, name: &str) -> Option<Expr> {
        let found = self.partitions.iter().find(|partition| partition.name == name)?;
        Some(Expr::Constant(found.constant(), found.data_type.clone()))
    }

    fn leaves_of(&self, segments: &[String]) -> Vec<usize> {
        self.leaves
            .columns()
            .iter()
            .enumerate()
            .filter(|(_, column)| column.path().parts().starts_with(segments))
            .map(|(index, _)| index)
            .collect()
    }

    fn missing(&self, plan: &ColumnPlan, path: &str) -> ScanError {
        let names: Vec<&str> = match self.table {
            Some(table) => table.fields.iter().map(|field| field.name.as_str()).collect(),
            None => self.schema.fields().iter().map(|f| f.name().as_str()).collect(),
        };
        let is_elsewhere = self.table.is_some_and(|table| table.elsewhere.contains_key(path));
        let hint = if is_elsewhere {
            " in the version that is read; other versions of the table have it".into()
        } else {
            shape::did_you_mean(path, names.iter().copied())
        };
        ScanError::MissingColumn {
            file: self.file.to_string(),
            role: plan.role,
            column: path.to_string(),
            hint,
            found: names.join(", "),
        }
    }

    fn column(&self, plan: &ColumnPlan, path: &str) -> Result<(Expr, Vec<usize>), ScanError> {
        let way = self.table.and_then(|table| table.resolve(path));
        let found = match (self.table, &way) {
            (None, _) => self.resolve(path).map(|segments| (segments, None)),
            (Some(_), Some(way)) => self.follow(way),
            (Some(_), None) => None,
        };
        if let Some((segments, widened)) = found {
            let leaves = self.leaves_of(&segments);
            let expr = match widened {
                Some(to) => Expr::Widened(segments, to),
                None => Expr::Path(segments),
            };
            return Ok((expr, leaves));
        }
        if let Some(constant) = self.partition(path) {
            return Ok((constant, Vec::new()));
        }
        // A column that is there under another name is not missing.
        let elsewhere = self.table.and_then(|table| table.elsewhere.get(path));
        if let (None, Some(Some(here))) = (&way, elsewhere) {
            return Err(ScanError::RenamedColumn {
                file: self.file.to_string(),
                role: plan.role,
                column: path.to_string(),
                here: here.clone(),
            });
        }
        match (way, plan.missing) {
            (Some(way), _) => match self.in_another_case(&way) {
                Some(what) => Err(ScanError::Unsupported { file: self.file.to_string(), what }),
                None => Ok((self.absent(path, &way)?, Vec::new())),
            },
            (None, Missing::Null) => Ok((null(), Vec::new())),
            (None, Missing::Error) => Err(self.missing(plan, path)),
        }
    }

    /// What is wrong where the file has the first missing field on the way, or a part of the last, in other letters.
    fn in_another_case(&self, way: &[&TableField]) -> Option<String> {
        let mut fields = self.schema.fields();
        for step in way {
            match step.find(fields).map(|field| field.data_type()) {
                Some(DataType::Struct(children)) => fields = children,
                _ => return step.in_another_case(fields),
            }
        }
        None
    }

    /// What stands for a column that the table got after the file.
    fn absent(&self, path: &str, way: &[&TableField]) -> Result<Expr, ScanError> {
        match way {
            [column] => {
                let value = column.default.clone();
                Ok(value.map_or_else(null, |v| Expr::Constant(v, Some(column.data_type.clone()))))
            }
            // Within a struct that is null there is no default.
            way if way.iter().any(|step| step.default.is_some()) => Err(ScanError::Unsupported {
                file: self.file.to_string(),
                what: format!(
                    "the default of `{path}`, which lies in a struct, and which the file does not hold"
                ),
            }),
            _ => Ok(null()),
        }
    }

    /// What the file calls the fields on a way through the table, and the type that the values must get
    /// where they are not of the table's.
    fn follow(&self, way: &[&TableField]) -> Option<(Vec<String>, Option<DataType>)> {
        let mut fields = self.schema.fields();
        let mut names = Vec::with_capacity(way.len());
        let mut widened = None;
        for step in way {
            let field = step.find(fields)?;
            names.push(field.name().clone());
            widened =
                is_widened(field.data_type(), &step.data_type).then(|| step.data_type.clone());
            if let DataType::Struct(children) = field.data_type() {
                fields = children;
            }
        }
        Some((names, widened))
    }

    /// What the file calls the fields of the structs in a list; `None` where the table has them and the
    /// file has not.
    fn entry_names(&self, path: &str, names: [&str; 2]) -> Option<[String; 2]> {
        let own = names.map(str::to_string);
        let Some(way) = self.table.and_then(|table| table.resolve(path)) else { return Some(own) };
        let mut fields = self.schema.fields();
        for step in &way {
            match step.find(fields).map(|field| field.data_type()) {
                Some(DataType::Struct(children)) => fields = children,
                Some(DataType::List(element)) => {
                    if let DataType::Struct(children) = element.data_type() {
                        fields = children;
                    }
                }
                _ => return Some(own),
            }
        }
        let element = way.last().and_then(|list| list.children.first());
        let parts = element.map(|element| element.children.as_slice()).unwrap_or_default();
        let [name, value] = names.map(|name| match parts.iter().find(|part| part.name == name) {
            Some(part) => part.find(fields).map(|field| field.name().clone()),
            None => Some(name.to_string()),
        });
        Some([name?, value?])
    }

    /// Finds `plan`'s column.
    ///
    /// # Errors
    /// [`ScanError::MissingColumn`] with the nearest name that the file has.
    pub fn bind(&self, plan: &ColumnPlan) -> Result<Bound, ScanError> {
        let (expr, leaves) = match &plan.source {
            ColumnSource::Path(path) => self.column(plan, path)?,
            ColumnSource::Concat(parts) => {
                let mut leaves = Vec::new();
                let mut bound = Vec::new();
                for part in parts {
                    bound.push(self.part(plan, part, &mut leaves)?);
                }
                (Expr::Concat(bound), leaves)
            }
            ColumnSource::Entry { path, name, equals, value } => match self.column(plan, path)? {
                (Expr::Path(segments), leaves) => match self.entry_names(path, [name, value]) {
                    Some([name, value]) => {
                        let equals = equals.clone();
                        (Expr::Entry { path: segments, name, equals, value }, leaves)
                    }
                    None => {
                        let way = self.table.and_then(|table| table.resolve(path));
                        if let Some(what) = way.and_then(|way| self.in_another_case(&way)) {
                            return Err(ScanError::Unsupported { file: self.file.into(), what });
                        }
                        (null(), Vec::new())
                    }
                },
                other => other,
            },
            ColumnSource::Json { path, pointer } => match self.column(plan, path)? {
                (Expr::Path(path) | Expr::Widened(path, _), leaves) => {
                    (Expr::Json { path, pointer: pointer.clone() }, leaves)
                }
                other => other,
            },
        };
        Ok(Bound { plan: plan.clone(), expr, leaves })
    }

    fn part(
        &self,
        plan: &ColumnPlan,
        part: &str,
        leaves: &mut Vec<usize>,
    ) -> Result<Part, ScanError> {
        if let Some(quoted) = part.strip_prefix('\'').and_then(|p| p.strip_suffix('\'')) {
            return Ok(Part::Literal(quoted.to_string()));
        }
        if !part.chars().any(char::is_alphanumeric) {
            return Ok(Part::Literal(part.to_string()));
        }
        let (expr, own) = self.column(plan, part)?;
        leaves.extend(own);
        Ok(Part::Column(Box::new(expr)))
    }
}

impl Bound {
    /// Whether the column is one leaf of the file: then its statistics speak for it.
    pub fn single_leaf(&self) -> Option<usize> {
        match (&self.expr, self.leaves.as_slice()) {
            (Expr::Path(_), [leaf]) => Some(*leaf),
            _ => None,
        }
    }

    /// Whether the column is the leaf at `path` itself, and no struct or list around it.
    pub fn is_leaf(&self, path: &[String]) -> bool {
        matches!(&self.expr, Expr::Path(segments) if segments.as_slice() == path)
    }

    /// The value that every row has, where the file's folder or its lack of the column gives it.
    pub fn constant(&self) -> Option<Option<&str>> {
        match &self.expr {
            Expr::Constant(value, _) => Some(value.text.as_deref()),
            _ => None,
        }
    }

    /// The column's values for the rows of `batch`.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where a part has no textual form.
    pub fn values(&self, batch: &RecordBatch, file: &str) -> Result<ArrayRef, ScanError> {
        self.evaluate(&self.expr, batch, file)
    }

    /// The JSON texts that the column's values are taken from.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] where they are no texts.
    pub fn json_texts(&self, batch: &RecordBatch, file: &str) -> Result<StringArray, ScanError> {
        match &self.expr {
            Expr::Json { path, .. } => self.to_text(&self.descend(path, batch, file)?, file),
            _ => self.to_text(&self.values(batch, file)?, file),
        }
    }

    fn bad_json(&self, file: &str, reason: &serde_json::Error) -> ScanError {
        ScanError::BadJson {
            file: file.to_string(),
            role: self.plan.role,
            column: self.plan.source.shown(),
            reason: reason.to_string(),
        }
    }

    /// Whether the scope in a JSON text cannot be read: the text is no JSON, or its value is of a shape
    /// that holds no scope.
    pub fn is_broken_json(&self, text: &str, is_list: bool) -> bool {
        let Expr::Json { pointer, .. } = &self.expr else { return false };
        match json_value(text, pointer) {
            Err(_) => true,
            Ok(Some(Value::Object(_))) => true,
            Ok(Some(Value::Array(_))) => !is_list,
            Ok(_) => false,
        }
    }

    fn wrong_type(&self, file: &str, found: &DataType, wanted: &str) -> ScanError {
        ScanError::WrongType {
            file: file.to_string(),
            role: self.plan.role,
            column: self.plan.source.shown(),
            found: found.to_string(),
            wanted: wanted.to_string(),
        }
    }

    fn evaluate(
        &self,
        expr: &Expr,
        batch: &RecordBatch,
        file: &str,
    ) -> Result<ArrayRef, ScanError> {
        let rows = batch.num_rows();
        match expr {
            Expr::Constant(value, of) => {
                constant(value, of.as_ref(), rows).map_err(|e| ScanError::BadPartition {
                    file: file.to_string(),
                    reason: format!(
                        "`{}` = {}: {e}",
                        self.plan.source.shown(),
                        value.text.as_deref().unwrap_or_default()
                    ),
                })
            }
            Expr::Path(path) => self.descend(path, batch, file),
            Expr::Widened(path, to) => {
                let array = self.descend(path, batch, file)?;
                widen(&array, to)
                    .map_err(|_| self.wrong_type(file, array.data_type(), &to.to_string()))
            }
            Expr::Concat(parts) => {
                let columns = parts
                    .iter()
                    .map(|part| match part {
                        Part::Literal(text) => Ok((Some(text.as_str()), None)),
                        Part::Column(expr) => {
                            let array = self.evaluate(expr, batch, file)?;
                            Ok((None, Some(self.to_text(&array, file)?)))
                        }
                    })
                    .collect::<Result<Vec<_>, ScanError>>()?;
                let mut out = StringBuilder::new();
                for row in 0..rows {
                    let mut text = String::new();
                    let mut null = false;
                    for (literal, column) in &columns {
                        match column {
                            Some(column) if column.is_null(row) => null = true,
                            Some(column) => text.push_str(column.value(row)),
                            None => text.push_str(literal.unwrap_or_default()),
                        }
                    }
                    out.append_option((!null).then_some(text));
                }
                Ok(Arc::new(out.finish()))
            }
            Expr::Entry { path, name, equals, value } => {
                let array = self.descend(path, batch, file)?;
                self.entry(&array, name, equals, value, file)
            }
            Expr::Json { path, pointer } => {
                let array = self.descend(path, batch, file)?;
                let texts = self.to_text(&array, file)?;
                let mut out = StringBuilder::new();
                for text in &texts {
                    let value = match text.map(|text| json_value(text, pointer)).transpose() {
                        Ok(value) => value.flatten(),
                        // A scope or time that cannot be read rejects its row; what else a row says
                        // must not be taken for nothing.
                        Err(_) if ["scopes", "time"].contains(&self.plan.role) => None,
                        Err(reason) => return Err(self.bad_json(file, &reason)),
                    };
                    out.append_option(value.as_ref().and_then(json_text));
                }
                Ok(Arc::new(out.finish()))
            }
        }
    }

    fn descend(
        &self,
        path: &[String],
        batch: &RecordBatch,
        file: &str,
    ) -> Result<ArrayRef, ScanError> {
        let lost = || self.wrong_type(file, &DataType::Null, "a column");
        let (first, rest) = path.split_first().ok_or_else(lost)?;
        let mut array = batch.column_by_name(first).cloned().ok_or_else(lost)?;
        for name in rest {
            let structs = array.as_struct_opt().ok_or_else(lost)?;
            let child = structs.column_by_name(name).cloned().ok_or_else(lost)?;
            array = mask_nulls(structs, &child)?;
        }
        Ok(array)
    }

    /// Any scalar column as text.
    ///
    /// # Errors
    /// [`ScanError::WrongType`] for nested columns.
    pub fn to_text(&self, array: &ArrayRef, file: &str) -> Result<StringArray, ScanError> {
        let text = match array.data_type() {
            DataType::Utf8 => Ok(array.clone()),
            DataType::Struct(_)
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::Map(..) => {
                return Err(self.wrong_type(file, array.data_type(), "one value a row"));
            }
            DataType::FixedSizeBinary(16) => {
                let mut out = StringBuilder::new();
                for bytes in array.as_fixed_size_binary() {
                    out.append_option(
                        bytes.and_then(|b| uuid::Uuid::from_slice(b).ok()).map(|u| u.to_string()),
                    );
                }
                Ok(Arc::new(out.finish()) as ArrayRef)
            }
            _ => cast_with_options(array, &DataType::Utf8, &strict()),
        };
        let text = text.map_err(|_| self.wrong_type(file, array.data_type(), "text"))?;
        Ok(text.as_string::<i32>().clone())
    }

    fn entry(
        &self,
        array: &ArrayRef,
        name: &str,
        equals: &str,
        value: &str,
        file: &str,
    ) -> Result<ArrayRef, ScanError> {
        let wrong = || self.wrong_type(file, array.data_type(), "a list of name/value structs");
        let list: &ListArray = array.as_list_opt().ok_or_else(wrong)?;
        let entries = list.values().as_struct_opt().ok_or_else(wrong)?;
        let names = entries.column_by_name(name).ok_or_else(wrong)?;
        let values = entries.column_by_name(value).ok_or_else(wrong)?;
        let names = self.to_text(names, file)?;
        // For each row the first entry of that name; null where there is none.
        let mut picked = Vec::with_capacity(list.len());
        for row in 0..list.len() {
            let (from, to) = match (list.offsets().get(row), list.offsets().get(row + 1)) {
                (Some(from), Some(to)) if !list.is_null(row) => (*from, *to),
                _ => (0, 0),
            };
            picked.push((from..to).find_map(|at| {
                let at = usize::try_from(at).ok()?;
                (!names.is_null(at) && names.value(at) == equals).then_some(at as u64)
            }));
        }
        let indices = UInt64Array::from(picked);
        arrow::compute::take(values.as_ref(), &indices, None).map_err(|_| wrong())
    }
}

/// A value for each row, of the type that the table says.
///
/// # Errors
/// What is no value of the type.
pub fn constant(
    value: &Constant,
    of: Option<&DataType>,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let of = of.unwrap_or(&DataType::Utf8);
    if value.text.is_none() {
        return Ok(new_null_array(of, rows));
    }
    arrow::compute::take(&value.array(of)?, &UInt64Array::from(vec![0; rows]), None)
}

fn null() -> Expr {
    Expr::Constant(Constant { text: None, bytes: None }, None)
}

/// Values as the table's type `to` has them.
///
/// # Errors
/// Values that the type cannot hold.
fn widen(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        // They count from one moment in UTC, as the table says and the file does not.
        (DataType::Timestamp(unit, None), DataType::Timestamp(_, zone)) => {
            let data_type = DataType::Timestamp(*unit, zone.clone());
            Ok(make_array(array.to_data().into_builder().data_type(data_type).build()?))
        }
        _ => cast_with_options(array, to, &strict()),
    }
}

/// Whether values must be cast to mean what the table says. Integers of all widths, and times of all
/// units, mean the same as they are; times of which a file does not say that they are in UTC do not.
fn is_widened(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        (DataType::Float32, DataType::Float64) => true,
        (DataType::Date32, DataType::Timestamp(..)) => true,
        (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_))) => true,
        (DataType::Binary | DataType::LargeBinary, DataType::Utf8) => true,
        (found, DataType::Float64 | DataType::Decimal128(..)) if found.is_integer() => true,
        (DataType::Decimal128(_, found), DataType::Decimal128(_, wanted)) => found != wanted,
        _ => false,
    }
}

/// A cast that fails rather than turning what it cannot read into null.
pub fn strict() -> CastOptions<'static> {
    CastOptions { safe: false, ..Default::default() }
}

/// A child column is null where its parent is.
fn mask_nulls(parent: &StructArray, child: &ArrayRef) -> Result<ArrayRef, ScanError> {
    let Some(parent_nulls) = parent.nulls() else { return Ok(child.clone()) };
    let mut valid = BooleanBufferBuilder::new(child.len());
    for row in 0..child.len() {
        valid.append(parent_nulls.is_valid(row) && child.is_valid(row));
    }
    let nulls = Some(valid.finish().into_inner());
    let data = child.to_data().into_builder().null_bit_buffer(nulls).build();
    data.map(make_array).map_err(|e| ScanError::Internal { what: e.to_string() })
}

/// The value at `pointer` in a JSON text.
fn json_value(text: &str, pointer: &[String]) -> Result<Option<Value>, serde_json::Error> {
    let mut at: Value = serde_json::from_str(text)?;
    for key in pointer {
        let next = match &mut at {
            Value::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get_mut(i)),
            other => other.get_mut(key),
        };
        match next {
            Some(next) => at = next.take(),
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Texts as they are, all else as JSON.
fn json_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
