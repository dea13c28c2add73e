//! `afterscope what-if`.

use super::args::{Global, LogFormat, WhatIfArgs};
use super::run::{Runtime, watched};
use super::{Failure, print_line, terminal};
use crate::config;
use crate::error::Error;
use crate::moment::{Moment, parse_duration};
use crate::pipeline::{self, Answer, Question};

/// Apps that the table on stderr shows.
const SHOWN: usize = 25;

pub fn run(args: &WhatIfArgs, global: &Global) -> Result<(), Failure> {
    let plan = config::load(&args.run.place.config, &args.run.overrides())?;
    let argument = |name: &str, reason: String| Error::Argument { argument: name.into(), reason };
    let at = Moment::parse_setting(&args.at, plan.registry.zone)
        .map_err(|reason| argument(&format!("--at {}", args.at), reason))?;
    let grace = parse_duration(&args.grace)
        .map_err(|reason| argument(&format!("--grace {}", args.grace), reason))?;
    let question = Question { scope: args.scope.clone(), at, grace };
    let runtime = Runtime::new()?;
    let answer = watched(&runtime, global, |progress, shown| {
        pipeline::what_if(&plan, &question, &runtime.io, progress, shown)
    })?;
    if !global.quiet && global.log_format == LogFormat::Text {
        show(&answer);
    }
    print_line(&answer)
}

fn show(answer: &Answer) {
    let number = |n: u64| terminal::number(n);
    let broken = &answer.would_break;
    let mut lines =
        vec![["app", "developer", "requests", "people", "last access"].map(String::from).to_vec()];
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    lines.extend(answer.apps.iter().take(SHOWN).map(|app| {
        let name = app.app_name.as_ref().or(app.app_id.as_ref());
        vec![
            name.cloned().unwrap_or_else(|| "(no app)".into()),
            text(&app.developer_id),
            terminal::number(app.requests_allowed),
            number(app.subjects_observed),
            text(&app.last_access),
        ]
    }));
    terminal::table(&lines);
    let more = answer.apps.len().saturating_sub(SHOWN);
    if more > 0 {
        terminal::plain(&format!("and {more} more apps"));
    }
    let more = if broken.subjects_unknown_rows > 0 { " and more" } else { "" };
    let upper = broken.subjects_upper_bound.map(|n| format!(" (up to {}{more})", number(n)));
    terminal::plain(&format!(
        "{} enforced from {} to {}: {} apps of {} developers would break, {} requests, {} people{}, {} groups",
        answer.scope,
        answer.enforced_at,
        answer.as_of,
        number(broken.apps),
        number(broken.developers),
        terminal::number(broken.requests_allowed),
        number(broken.subjects_observed),
        upper.unwrap_or_default(),
        number(broken.groups),
    ));
    match (answer.subjects_spared, answer.groups_spared, &answer.restricted_at) {
        (Some(people), Some(groups), Some(restricted)) => terminal::plain(&format!(
            "spared: {} people and {} groups that were reached since {restricted}, and only after that",
            number(people),
            number(groups),
        )),
        _ => terminal::plain(
            "spared: not told, because the registry does not restrict the scope before that",
        ),
    }
    let coverage = answer.coverage_pct.map_or("not declared".into(), |pct| format!("{pct:.1} %"));
    terminal::plain(&format!("coverage of the log: {coverage}"));
    terminal::left_out(answer.files_left_out);
}
