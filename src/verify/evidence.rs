//! The rows of one app, with the proof that they stand in a run, and nothing of other apps.

use std::collections::BTreeSet;

use arrow::array::{Array, StringArray};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::read;
use super::tables::other_trees;
use super::{Place, VerifyError};
use crate::hidden::in_json;
use crate::impact::{Table, csv_cell, escaped, is_dimension};
use crate::key::{hex, unhex};
use crate::publish::merkle::{self, Hash, Leaf, Merkle, Part, Paths, climb, leaf};
use crate::publish::{MANIFEST, Manifest, Output, sha256, table_of};
use crate::seal::{seal, unseal};

/// Version of the file's form.
const FORMAT: u32 = 2;

/// An evidence file. Its last line holds the SHA-256 of all before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub afterscope_evidence: u32,
    pub run_id: String,
    pub as_of: String,
    pub app: String,
    /// Only rows of this scope; null for all.
    pub scope: Option<String>,
    pub manifest_sha256: String,
    /// The manifest's section `merkle`.
    pub merkle: Merkle,
    pub tables: Vec<Rows>,
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Which of `merkle.parts`.
    pub part: String,
    pub header: Proof,
    pub rows: Vec<Proof>,
}

/// Records of the CSV file that are one leaf of its tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Which leaf; 0 is the header.
    pub leaf: u64,
    /// As they stand in the file, without their line ends.
    pub records: Vec<String>,
    /// Hashes beside the way up to the root, from the leaf on.
    pub path: Vec<String>,
}

impl Rows {
    fn count(&self) -> u64 {
        self.rows.iter().map(|proof| proof.records.len() as u64).sum()
    }
}

/// What evidence proves, one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proven {
    pub run_id: String,
    pub verdict: &'static str,
    pub app: String,
    pub scope: Option<String>,
    pub root: String,
    pub manifest_sha256: String,
    /// Whether the file was compared with the run itself.
    pub compared: bool,
    pub tables: u64,
    pub rows: u64,
    pub differences: Vec<String>,
}

/// How a table's CSV file shows an id.
fn in_csv(id: &str) -> String {
    csv_cell(&escaped(id)).into_owned()
}

/// Makes the evidence of an app, from a run whose files hold (see [`super::check()`]).
///
/// # Errors
/// Storage failures, and an app without any row.
pub fn extract(
    place: &Place,
    manifest: &Manifest,
    app: &str,
    scope: Option<&str>,
) -> Result<Evidence, VerifyError> {
    let bytes = read(place, MANIFEST)?.unwrap_or_default();
    let mut tables = Vec::new();
    for output in &manifest.outputs {
        let Some(name) = evidence_of(&output.path) else { continue };
        let Some(parquet) = read(place, &format!("tables/{name}.parquet"))? else { continue };
        // Parquet tells texts apart that a CSV cell shows alike.
        let table = Table::read_back(name, parquet)?;
        let wanted = rows_of(&table, app, scope);
        if wanted.is_empty() {
            continue;
        }
        let csv = read(place, &output.path)?.unwrap_or_default();
        let leaves: Vec<Leaf<'_>> = merkle::leaves(&csv).collect();
        let paths = Paths::over(leaves.iter().map(|of| leaf(of.bytes)).collect());
        let proof = |at: usize| {
            let bytes = leaves.get(at).map(|of| of.bytes).unwrap_or_default();
            let record = |record| String::from_utf8_lossy(record).into_owned();
            Proof {
                leaf: at as u64,
                records: merkle::records(bytes).map(record).collect(),
                path: paths.of(at).iter().map(|hash| hex(hash)).collect(),
            }
        };
        let mut rows = Vec::new();
        for (at, of) in leaves.iter().enumerate().skip(1) {
            // Record 1 is row 0.
            let own = of.records.clone().filter(|record| wanted.contains(&(record - 1))).count();
            if own > 0 {
                if own < of.records.len() {
                    return Err(look_alike(place, output, app, scope));
                }
                rows.push(proof(at));
            }
        }
        tables.push(Rows { part: output.path.clone(), header: proof(0), rows });
    }
    if tables.is_empty() {
        let of = scope.map(|scope| format!(" and scope `{scope}`")).unwrap_or_default();
        return Err(VerifyError::User {
            what: place.shown(MANIFEST),
            reason: format!(
                "no table of the run has a row of app `{app}`{of}\ncompare the spelling with app_scope_exposure.csv"
            ),
        });
    }
    Ok(Evidence {
        afterscope_evidence: FORMAT,
        run_id: manifest.run_id.clone(),
        as_of: merkle::as_of(&manifest.details).to_string(),
        app: app.to_string(),
        scope: scope.map(str::to_string),
        manifest_sha256: sha256(&bytes),
        merkle: manifest.merkle.clone(),
        tables,
    })
}

/// Leaves go by what the CSV file shows.
fn look_alike(place: &Place, output: &Output, app: &str, scope: Option<&str>) -> VerifyError {
    let of = scope.map(|scope| format!(" and scope `{}`", escaped(scope))).unwrap_or_default();
    VerifyError::User {
        what: place.shown(&output.path),
        reason: format!(
            "rows of app `{}`{of} stand beside others whose app or scope looks the same there: they cannot be shown apart\nshow those of the Parquet file beside the run instead",
            escaped(app)
        ),
    }
}

/// The table of a CSV file whose rows are evidence. What an app is called is none of what it did; and lines over inputs,
/// which are a tree too, may read as records with such a column.
fn evidence_of(path: &str) -> Option<&str> {
    table_of(path).filter(|name| !is_dimension(name))
}

/// Rows of a table with this `app_id`, and this `scope` where one is asked for. A table without such
/// a column says nothing of an app; that they are texts is seen to when tables are made.
fn rows_of(table: &Table, app: &str, scope: Option<&str>) -> BTreeSet<usize> {
    let column =
        |name: &str| table.batch.column_by_name(name)?.as_any().downcast_ref::<StringArray>();
    let Some(apps) = column("app_id") else { return BTreeSet::new() };
    let scopes = column("scope");
    if scope.is_some() && scopes.is_none() {
        return BTreeSet::new();
    }
    let is = |column: &StringArray, row: usize, id: &str| {
        column.is_valid(row) && column.value(row) == escaped(id)
    };
    let fits = |row: &usize| {
        is(apps, *row, app)
            && scope.is_none_or(|scope| scopes.is_some_and(|scopes| is(scopes, *row, scope)))
    };
    (0..table.batch.num_rows()).filter(fits).collect()
}

impl Proven {
    /// What is proven by evidence that cannot be believed: nothing.
    pub fn of_differences(differences: Vec<String>) -> Self {
        Self { verdict: "differs", differences, ..Default::default() }
    }
}

impl Evidence {
    /// The file's text. It may be read on a terminal: no character in it acts on one.
    pub fn render(&self) -> String {
        seal(&in_json(serde_json::to_string_pretty(self).unwrap_or_default()))
    }

    /// # Errors
    /// Where the text is none, its hash does not hold, or it is of another form.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let changed = |reason: String| format!("it is no evidence file, or was changed: {reason}");
        let text = unseal(bytes).map_err(changed)?;
        let any: Value = serde_json::from_str(text).map_err(|e| changed(e.to_string()))?;
        let form = any.get("afterscope_evidence").and_then(Value::as_u64);
        if let Some(form) = form.filter(|form| *form != u64::from(FORMAT)) {
            return Err(format!(
                "it is evidence of form {form}, and this build reads form {FORMAT}: look with the build that made it"
            ));
        }
        let evidence: Self = serde_json::from_str(text).map_err(|e| changed(e.to_string()))?;
        if evidence.render().as_bytes() != bytes {
            return Err(changed("it is not written as afterscope writes it".into()));
        }
        Ok(evidence)
    }

    fn proven(&self) -> Proven {
        Proven {
            run_id: self.run_id.clone(),
            app: self.app.clone(),
            scope: self.scope.clone(),
            root: self.merkle.root.clone(),
            manifest_sha256: self.manifest_sha256.clone(),
            tables: self.tables.len() as u64,
            rows: self.tables.iter().map(Rows::count).sum(),
            ..Default::default()
        }
    }
}

/// Looks at evidence alone: every row leads to the root that the file names. Whether that root is the
/// published one, the file cannot tell.
pub fn check_alone(evidence: &Evidence) -> Proven {
    let mut proven = evidence.proven();
    if evidence.merkle.algorithm != merkle::ALGORITHM {
        proven.differences.push(other_trees(&evidence.merkle.algorithm));
        proven.verdict = "differs";
        return proven;
    }
    let over = Merkle::over(&evidence.run_id, &evidence.as_of, evidence.merkle.parts.clone());
    if over != evidence.merkle {
        let what = "merkle.root is not that of run_id, as_of and merkle.parts";
        proven.differences.push(what.into());
    }
    if evidence.tables.is_empty() {
        // That a run says nothing of an app, no row can prove.
        proven.differences.push("it shows no row".into());
    }
    let mut seen = BTreeSet::new();
    for table in &evidence.tables {
        let part = evidence.merkle.parts.iter().find(|part| part.part == table.part);
        let result = match part {
            _ if !seen.insert(&table.part) => Err("stands there twice".into()),
            Some(part) if evidence_of(&part.part).is_none() => {
                Err("is no table with evidence".into())
            }
            Some(part) => check_rows(evidence, table, part),
            None => Err("is none of merkle.parts".into()),
        };
        if let Err(reason) = result {
            proven.differences.push(format!("{}: {reason}", table.part));
        }
    }
    proven.verdict = if proven.differences.is_empty() { "holds" } else { "differs" };
    proven
}

fn check_rows(evidence: &Evidence, table: &Rows, part: &Part) -> Result<(), String> {
    if table.header.leaf != 0 {
        return Err("its header is not leaf 0".into());
    }
    leads_to(&table.header, part)?;
    let [header] = table.header.records.as_slice() else {
        return Err("its header is not one record".into());
    };
    let header = cells(header)?;
    let place = |name: &str| header.iter().position(|cell| cell == name);
    let app = place("app_id").ok_or("it has no column app_id")?;
    let mut last = 0;
    for proof in &table.rows {
        let leaf = proof.leaf;
        if leaf <= last {
            return Err(format!("leaf {leaf} does not come after leaf {last}"));
        }
        last = leaf;
        leads_to(proof, part)?;
        for record in &proof.records {
            let cells = cells(record)?;
            let holds = |at: usize, id: &str| cells.get(at).is_some_and(|cell| *cell == in_csv(id));
            if !holds(app, &evidence.app) {
                return Err(format!(
                    "leaf {leaf} has a row that is none of app `{}`",
                    evidence.app
                ));
            }
            if let Some(scope) = &evidence.scope
                && !place("scope").is_some_and(|at| holds(at, scope))
            {
                return Err(format!("leaf {leaf} has a row that is none of scope `{scope}`"));
            }
        }
    }
    if table.rows.is_empty() { Err("it has no rows".into()) } else { Ok(()) }
}

fn leads_to(proof: &Proof, part: &Part) -> Result<(), String> {
    let Proof { leaf: number, records, path } = proof;
    let path: Option<Vec<Hash>> = path.iter().map(|hash| unhex(hash)).collect();
    let path = path.ok_or(format!("the path of leaf {number} is no list of hashes"))?;
    let bytes = records.join("\n").into_bytes();
    // A line end within a cell parts no records.
    if !merkle::records(&bytes).eq(records.iter().map(|record| record.as_bytes())) {
        return Err(format!("leaf {number} is not parted into its records"));
    }
    let root = climb(leaf(&bytes), *number, part.leaves, &path);
    if root.is_none_or(|root| hex(&root) != part.root) {
        return Err(format!("leaf {number} does not lead to the root {}", part.root));
    }
    Ok(())
}

fn cells(record: &str) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(record.as_bytes());
    let mut records = reader.records();
    match (records.next(), records.next()) {
        (Some(Ok(record)), None) => Ok(record.iter().map(str::to_string).collect()),
        _ => Err("a record is no CSV record".into()),
    }
}

/// Looks at evidence beside its run, whose files hold: it must be what the run gives today, to the
/// byte. So no row of the app was left out either.
///
/// # Errors
/// Storage failures.
pub fn check_with(
    evidence: &Evidence,
    place: &Place,
    manifest: &Manifest,
) -> Result<Proven, VerifyError> {
    let mut proven = check_alone(evidence);
    proven.compared = true;
    let expected = match extract(place, manifest, &evidence.app, evidence.scope.as_deref()) {
        Ok(expected) => expected,
        Err(VerifyError::User { reason, .. }) => {
            proven.differences.push(reason);
            proven.verdict = "differs";
            return Ok(proven);
        }
        Err(error) => return Err(error),
    };
    let shown = place.shown(MANIFEST);
    let mut differs = |what: String| proven.differences.push(what);
    if evidence.run_id != expected.run_id || evidence.as_of != expected.as_of {
        differs(format!("it is of run {}, and {shown} of {}", evidence.run_id, expected.run_id));
    } else if evidence.merkle != expected.merkle {
        differs(format!("its merkle section is not that of {shown}"));
    } else if evidence.manifest_sha256 != expected.manifest_sha256 {
        differs(format!(
            "its manifest_sha256 is {}, and that of {shown} is {}",
            evidence.manifest_sha256, expected.manifest_sha256
        ));
    } else if evidence.tables != expected.tables {
        differs(format!("it does not hold all rows of app `{}` in {shown}", evidence.app));
    } else if *evidence != expected {
        differs(format!("it is not what {shown} gives"));
    }
    proven.verdict = if proven.differences.is_empty() { "holds" } else { "differs" };
    Ok(proven)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn evidence_of_another_form_is_not_said_to_be_changed() {
        // As form 1 was, about.
        let row = json!({ "leaf": 1, "record": "app-1,3", "path": [] });
        let table = json!({ "part": "tables/t.csv", "header": row, "rows": [row] });
        let old = json!({ "afterscope_evidence": 1, "app": "app-1", "tables": [table] });
        let text = seal(&serde_json::to_string_pretty(&old).unwrap());
        let reason = Evidence::parse(text.as_bytes()).unwrap_err();
        assert!(reason.contains("form 1") && !reason.contains("changed"), "{reason}");
        let changed = text.replacen("app-1", "app-2", 1);
        let reason = Evidence::parse(changed.as_bytes()).unwrap_err();
        assert!(reason.contains("was changed"), "{reason}");
    }
}
