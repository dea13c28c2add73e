//! The heat map: apps by week. Its first rows are drawn here, the others by the page's script.

use std::collections::{BTreeSet, HashMap};

use super::kept::{AppWeeks, Kept, monday, week_of};
use super::page::Page;
use super::text::{count, json_string, number, shown};
use super::words::told;
use crate::moment::{DAY_MICROS, day_to_date};

/// Rows drawn at once.
const FIRST: usize = 40;
/// Columns at most: a longer time has several weeks to a column.
const COLUMNS: i64 = 160;
/// Shades beside the empty one.
const LEVELS: i64 = 5;
/// Width of the names.
const LABEL: f64 = 232.0;
const WIDTH: f64 = 960.0;
const ROW: f64 = 16.0;
const HEAD: f64 = 22.0;

/// The map's frame: what its columns and shades stand for.
struct Frame {
    first: i64,
    weeks_each: i64,
    columns: i64,
    /// Least requests of each shade, ascending.
    least: Vec<i64>,
}

impl Frame {
    fn of(kept: &Kept) -> Option<Self> {
        let weeks = || kept.weeks.iter().flat_map(|app| app.weeks.iter().map(|w| w.0));
        let (first, last) = (weeks().min()?, weeks().max()?);
        let all = last - first + 1;
        let weeks_each = (all + COLUMNS - 1) / COLUMNS;
        let mut frame = Self {
            first,
            weeks_each,
            columns: (all + weeks_each - 1) / weeks_each,
            least: vec![1],
        };
        let most = kept.weeks.iter().flat_map(|app| frame.sums(app)).max().unwrap_or(1).max(1);
        for level in 1..LEVELS {
            let least = (most as f64).powf(level as f64 / LEVELS as f64).ceil() as i64;
            if frame.least.last().is_some_and(|last| least > *last) {
                frame.least.push(least);
            }
        }
        Some(frame)
    }

    /// Requests by column.
    fn sums(&self, app: &AppWeeks) -> Vec<i64> {
        let mut sums = vec![0_i64; usize::try_from(self.columns).unwrap_or(0)];
        for (week, requests) in &app.weeks {
            let at = usize::try_from((week - self.first) / self.weeks_each).ok();
            if let Some(sum) = at.and_then(|at| sums.get_mut(at)) {
                *sum = sum.saturating_add(*requests);
            }
        }
        sums
    }

    /// One digit for each column, `0` for none.
    fn shades(&self, app: &AppWeeks) -> String {
        let shade = |sum: i64| self.least.iter().filter(|least| sum >= **least).count();
        let digit = |sum| char::from_digit(u32::try_from(shade(sum)).unwrap_or(0), 10);
        self.sums(app).into_iter().map(|sum| digit(sum).unwrap_or('0')).collect()
    }

    fn cell(&self) -> f64 {
        (WIDTH - LABEL) / self.columns.max(1) as f64
    }

    /// The column of a moment.
    fn column(&self, micros: i64) -> Option<i64> {
        let column =
            (week_of(micros.div_euclid(DAY_MICROS)) - self.first).div_euclid(self.weeks_each);
        (0..self.columns).contains(&column).then_some(column)
    }
}

fn app_label(app: &AppWeeks) -> String {
    match (&app.name, &app.app) {
        (Some(name), _) => shown(name),
        (None, Some(id)) => shown(id),
        (None, None) => "(no app named)".into(),
    }
}

/// Columns with a promise of deletion, by app.
type Promises<'a> = HashMap<&'a str, BTreeSet<i64>>;

fn promises<'a>(kept: &'a Kept, frame: &Frame) -> Promises<'a> {
    let mut found = Promises::new();
    for (grid, row) in kept.promises.iter().flat_map(|g| (0..g.rows()).map(move |row| (g, row))) {
        let at = grid.time(row, "attested_at").and_then(|at| frame.column(at));
        if let (Some(app), Some(column)) = (grid.text(row, "app_id"), at) {
            found.entry(app).or_default().insert(column);
        }
    }
    found
}

/// The columns of one app.
fn of<'a>(promises: &'a Promises<'_>, app: &AppWeeks) -> impl Iterator<Item = &'a i64> {
    app.app.as_deref().and_then(|id| promises.get(id)).into_iter().flatten()
}

pub fn render(page: &mut Page, kept: &Kept) {
    let Some(frame) = Frame::of(kept) else {
        if kept.weeks_masked > 0 {
            return masked(page, kept);
        }
        page.raw("<p>No app used a restricted scope, so there is nothing to draw.</p>\n");
        return;
    };
    let weeks = if frame.weeks_each == 1 {
        "one week".to_string()
    } else {
        format!("{} weeks", number(frame.weeks_each))
    };
    page.raw("<div class=\"heat\" data-for=\"heat\"><div class=\"tools\" hidden><label>Show apps whose name or id contains ");
    page.raw("<input type=\"search\" autocomplete=\"off\" spellcheck=\"false\"></label></div>\n");
    page.raw("<figure class=\"chart\"><figcaption>").text(&format!(
        "Requests let through by app; one column is {weeks}, Monday to Sunday. Apps that reached most people come first. A triangle marks a promise of deletion."
    ));
    page.raw("</figcaption>\n");
    legend(page, &frame);
    page.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Heat map of apps by week\">\n");
    let shown: Vec<&AppWeeks> = kept.weeks.iter().take(FIRST).collect();
    let height = HEAD + ROW * shown.len() as f64;
    page.raw("<svg id=\"heat\" viewBox=\"0 0 960 ").at(height);
    page.raw("\" role=\"img\" aria-label=\"").text(&format!(
        "Heat map of {} by week; the table of apps below has first and last access and all figures of each.",
        count(shown.len() as i64, "app", "apps")
    ));
    page.raw("\">\n");
    head(page, &frame);
    let promised = promises(kept, &frame);
    for (row, app) in shown.iter().enumerate() {
        draw(page, &frame, app, of(&promised, app), HEAD + ROW * row as f64);
    }
    page.raw("</svg></div></figure>\n<p class=\"rows\" role=\"status\">");
    page.text(&format!(
        "Apps 1 to {} of {}.",
        number(shown.len() as i64),
        number(kept.weeks.len() as i64)
    ));
    page.raw("</p>\n<div class=\"turn\" hidden></div>\n");
    if kept.weeks_left_out > 0 {
        page.raw("<p class=\"cut\">").text(&format!(
            "{} that reached fewer people are left out here; all are in tables/daily_timeline.parquet.",
            count(kept.weeks_left_out as i64, "app", "apps")
        ));
        page.raw("</p>\n");
    }
    masked(page, kept);
    if kept.weeks.len() > FIRST {
        page.raw("<noscript><p>Without a script this page draws the first ");
        page.text(&number(FIRST as i64));
        page.raw(" apps; all are in tables/daily_timeline.parquet.</p></noscript>\n");
    }
    page.raw("<script type=\"application/json\" id=\"heat-d\">");
    page.json(|out| data(kept, &frame, &promised, out));
    page.raw("</script></div>\n");
}

fn legend(page: &mut Page, frame: &Frame) {
    page.raw("<p class=\"legend\">Requests in a column: ");
    for (at, least) in frame.least.iter().enumerate() {
        let most = frame.least.get(at + 1).map(|next| next - 1);
        page.raw("<svg class=\"key\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"h");
        page.text(&(at + 1).to_string()).raw("\" width=\"14\" height=\"14\"/></svg>");
        page.text(&match most {
            Some(most) if most == *least => number(*least),
            Some(most) => format!("{} to {}", number(*least), number(most)),
            None => format!("{} and more", number(*least)),
        });
        page.raw(" ");
    }
    page.raw("</p>\n");
}

/// Dates above the columns, where there is room for one.
fn head(page: &mut Page, frame: &Frame) {
    let every = ((86.0 / frame.cell()).ceil() as i64).max(1);
    for column in (0..frame.columns).step_by(usize::try_from(every).unwrap_or(1)) {
        let x = LABEL + frame.cell() * column as f64;
        if x > WIDTH - 70.0 {
            break;
        }
        page.raw("<text x=\"").at(x).raw("\" y=\"12\">");
        page.text(&day_to_date(monday(frame.first + column * frame.weeks_each)));
        page.raw("</text>\n");
    }
}

fn draw<'a>(
    page: &mut Page,
    frame: &Frame,
    app: &AppWeeks,
    promises: impl Iterator<Item = &'a i64>,
    y: f64,
) {
    let name: String = app_label(app);
    let short: String = if name.chars().count() > 32 {
        name.chars().take(31).chain(['…']).collect()
    } else {
        name.clone()
    };
    let requests = match app.requests {
        Some(requests) => count(requests, "request", "requests"),
        None => "requests left out".to_string(),
    };
    page.raw("<g><title>").text(&format!("{name}: {}", requests));
    page.raw("</title><text class=\"app\" x=\"0\" y=\"").at(y + 12.0).raw("\">").text(&short);
    page.raw("</text>");
    let shades = frame.shades(app);
    for level in 1..=LEVELS {
        let digit = char::from_digit(u32::try_from(level).unwrap_or(0), 10);
        if !shades.chars().any(|c| Some(c) == digit) {
            continue;
        }
        page.raw("<path class=\"h").text(&level.to_string()).raw("\" d=\"");
        for (column, _) in shades.chars().enumerate().filter(|(_, c)| Some(*c) == digit) {
            page.raw("M").at(LABEL + frame.cell() * column as f64).raw(" ").at(y + 1.0);
            page.raw("h").at((frame.cell() - 1.0).max(1.0)).raw("v14h-");
            page.at((frame.cell() - 1.0).max(1.0)).raw("z");
        }
        page.raw("\"/>");
    }
    for column in promises {
        page.raw("<path class=\"promise\" d=\"M").at(LABEL + frame.cell() * (*column as f64 + 0.5));
        page.raw(" ").at(y + 15.0).raw("l-5 -9h10z\"/>");
    }
    page.raw("</g>\n");
}

/// Says how many apps have no row because figures of their days are left out.
fn masked(page: &mut Page, kept: &Kept) {
    if kept.weeks_masked > 0 {
        let apps = count(kept.weeks_masked as i64, "app has", "apps have");
        page.raw("<p class=\"cut\">").text(&format!(
            "{apps} no row here: days are left out on which they reached few people."
        ));
        page.raw("</p>\n");
    }
}

/// `{"cell":…,"rows":[[name, id, requests, shades, [columns of promises]],…]}`.
fn data(kept: &Kept, frame: &Frame, promises: &Promises<'_>, out: &mut String) {
    out.push_str(&format!("{{\"cell\":{:.3},\"rows\":[", frame.cell()));
    for (row, app) in kept.weeks.iter().enumerate() {
        out.push_str(if row == 0 { "\n[" } else { ",\n[" });
        json_string(&app_label(app), out);
        out.push(',');
        json_string(&app.app.as_deref().map(shown).unwrap_or_default(), out);
        out.push_str(&format!(",\"{}\",\"{}\",[", told(app.requests), frame.shades(app)));
        let columns: Vec<String> = of(promises, app).map(i64::to_string).collect();
        out.push_str(&columns.join(","));
        out.push_str("]]");
    }
    out.push_str("]}");
}
