//! `afterscope verify`.

use std::path::Path;

use super::args::{Global, LogFormat, VerifyArgs};
use super::run::{Runtime, watched};
use super::terminal::{self, bytes, number};
use super::which::as_then;
use super::{Failure, print_line};
use crate::config::{self, Overrides, raw};
use crate::error::Error;
use crate::pipeline;
use crate::publish::Manifest;
use crate::signature::PublicKey;
use crate::store::{Io, StoreUrl};
use crate::verify::{self, Demands, Evidence, Place, Proven, Report, VerifyError};

pub fn run(args: &VerifyArgs, global: &Global) -> Result<(), Failure> {
    let demands = Demands { public_key: args.public_key.as_deref().map(public_key).transpose()? };
    let runtime = Runtime::new()?;
    if let Some(file) = &args.evidence {
        return evidence(file, args.run.as_deref(), &demands, &runtime.io, global);
    }
    let place = match find(args.run.as_deref().unwrap_or_default(), &runtime.io) {
        Err(Failure { error: Error::Verify(VerifyError::Differs(what)), code }) => {
            print_line(&Report::of_difference(what.clone()))?;
            return Err(Failure { error: VerifyError::Differs(what).into(), code });
        }
        found => found?,
    };
    let (mut report, manifest) = look(&place, &demands, global)?;
    if let (true, Some(manifest)) = (args.inputs, &manifest) {
        stage("inputs", global);
        verify::check_inputs(manifest, &runtime.io, &mut report)?;
    }
    if let (true, true, Some(manifest)) = (args.recompute, report.holds(), &manifest) {
        recompute(args, (&place, manifest), &runtime, &mut report, global)?;
    }
    report.finish();
    tell(&report, &place, global);
    print_line(&report)?;
    if report.holds() { Ok(()) } else { Err(VerifyError::Differs(report.shown()).into()) }
}

/// Counts everything again, in a folder of its own below the temporary one.
fn recompute(
    args: &VerifyArgs,
    (place, manifest): (&Place, &Manifest),
    runtime: &Runtime,
    report: &mut Report,
    global: &Global,
) -> Result<(), Failure> {
    let config = args.config.clone().unwrap_or_default();
    let overrides = as_then(manifest, args.overrides());
    let folder = config::load(&config, &overrides)?.temp_dir.unwrap_or_else(std::env::temp_dir);
    let made = tempfile::Builder::new().prefix("afterscope-").tempdir_in(&folder);
    let temp = made.map_err(|e| {
        let reason = format!("nothing can be written there: {e}\nname another with run.temp_dir");
        Error::unwritable(folder.display().to_string(), reason, &e)
    })?;
    let below = |name: &str| Some(temp.path().join(name).display().to_string());
    let overrides = Overrides { output: below("out"), state: below("state"), ..overrides };
    let plan = config::load(&config, &overrides)?;
    let differences = watched(runtime, global, |progress, shown| {
        pipeline::recompute(&plan, &runtime.io, progress, shown, place, manifest)
    })?;
    report.recomputed = Some(differences.is_empty());
    report.differences.extend(differences);
    Ok(())
}

/// The run that an address of the command line means.
pub fn find(address: &str, io: &Io) -> Result<Place, Failure> {
    // Where an S3-compatible service is, the environment says (AWS_ENDPOINT_URL_S3).
    let url = StoreUrl::parse(address, Path::new("."), &raw::Store::default())
        .map_err(|reason| Error::argument("RUN", reason))?;
    Ok(Place::find(&url, io)?)
}

fn stage(name: &str, global: &Global) {
    if global.verbose > 0 {
        terminal::info(name, global);
    }
}

/// Checks a run; its warnings are told.
pub fn look(
    place: &Place,
    demands: &Demands,
    global: &Global,
) -> Result<(Report, Option<Manifest>), Failure> {
    let found = verify::check(place, demands, &mut |name| stage(name, global))?;
    found.0.warnings.iter().for_each(|text| terminal::warning(text, global));
    Ok(found)
}

fn tell(report: &Report, place: &Place, global: &Global) {
    if global.quiet || global.log_format != LogFormat::Text || !report.holds() {
        return;
    }
    let signed = match &report.signed_by {
        Some(key) => format!("signed by {key}"),
        None => "not signed".into(),
    };
    terminal::plain(&format!(
        "run {} holds: {} files ({}), {} tables with {} rows, {signed}",
        report.run_id,
        number(report.files),
        bytes(report.bytes),
        number(report.tables),
        number(report.rows)
    ));
    if let Some(inputs) = &report.inputs {
        terminal::plain(&format!("{} input files are unchanged", number(inputs.unchanged)));
    }
    if report.recomputed == Some(true) {
        terminal::plain("counted again from the input files, it has the same bytes");
    }
    terminal::plain(&format!("manifest {} {}", report.manifest_sha256, place.shown("")));
}

fn public_key(path: &Path) -> Result<PublicKey, Error> {
    let failed = |reason: String| Error::Argument {
        argument: format!("--public-key {}", path.display()),
        reason,
    };
    let pem = std::fs::read_to_string(path).map_err(|e| failed(format!("cannot be read: {e}")))?;
    PublicKey::from_pem(&pem).map_err(failed)
}

fn evidence(
    file: &Path,
    run: Option<&str>,
    demands: &Demands,
    io: &Io,
    global: &Global,
) -> Result<(), Failure> {
    let shown = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|e| Error::Argument {
        argument: format!("--evidence {shown}"),
        reason: format!("cannot be read: {e}"),
    })?;
    let proven = match (Evidence::parse(&bytes), run) {
        (Err(reason), _) => Proven::of_differences(vec![reason]),
        (Ok(evidence), None) => verify::check_alone(&evidence),
        (Ok(evidence), Some(run)) => {
            let place = find(run, io)?;
            let (report, manifest) = look(&place, demands, global)?;
            match manifest.filter(|_| report.holds()) {
                Some(manifest) => verify::check_with(&evidence, &place, &manifest)?,
                None => Proven::of_differences(report.differences),
            }
        }
    };
    print_line(&proven)?;
    if let Some(first) = proven.differences.first() {
        return Err(VerifyError::Differs(format!("{shown}: {first}")).into());
    }
    if !global.quiet && global.log_format == LogFormat::Text {
        told(&proven);
    }
    Ok(())
}

fn told(proven: &Proven) {
    let Proven { rows, tables, app, root, run_id, manifest_sha256, .. } = proven;
    terminal::plain(&format!(
        "{rows} rows of {tables} tables are rows of app {app} in run {run_id}"
    ));
    if proven.compared {
        terminal::plain("and all that the run says of that app");
        return;
    }
    terminal::plain(&format!(
        "if {root}\nis merkle.root of the published manifest with SHA-256 {manifest_sha256}"
    ));
}
