//! Where a mapped column lies in one file: by the file's own names, or by those of the table that it is of.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::schema::types::SchemaDescriptor;

use super::ScanError;
use super::columns::{Bound, Expr, Part};
use crate::config::raw::Missing;
use crate::config::{ColumnPlan, ColumnSource, shape};
use crate::snapshot::{Constant, Partition, TableField, TableSchema};

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
            (None, Missing::Null) => match self.in_other_letters(path) {
                Some(here) => Err(ScanError::OtherLetters {
                    file: self.file.to_string(),
                    role: plan.role,
                    column: path.to_string(),
                    here,
                }),
                None => Ok((null(), Vec::new())),
            },
            (None, Missing::Error) => Err(self.missing(plan, path)),
        }
    }

    /// A column that is called `path` but for the case of letters.
    fn in_other_letters(&self, path: &str) -> Option<String> {
        let mut names: Vec<String> = self.partitions.iter().map(|p| p.name.clone()).collect();
        match self.table {
            Some(table) => names_of_columns(&table.fields, "", &mut names),
            None => names_of_fields(self.schema.fields(), "", &mut names),
        }
        let path = path.to_lowercase();
        names.into_iter().find(|name| name.to_lowercase() == path)
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

/// Names of a file's fields, those of structs dotted.
fn names_of_fields(fields: &Fields, above: &str, names: &mut Vec<String>) {
    for field in fields {
        let name = format!("{above}{}", field.name());
        if let DataType::Struct(parts) = field.data_type() {
            names_of_fields(parts, &format!("{name}."), names);
        }
        names.push(name);
    }
}

/// The same of a table's columns.
fn names_of_columns(columns: &[TableField], above: &str, names: &mut Vec<String>) {
    for column in columns {
        let name = format!("{above}{}", column.name);
        if matches!(column.data_type, DataType::Struct(_)) {
            names_of_columns(&column.children, &format!("{name}."), names);
        }
        names.push(name);
    }
}

fn null() -> Expr {
    Expr::Constant(Constant { text: None, bytes: None }, None)
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
